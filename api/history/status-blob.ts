import { toBinary } from '@bufbuild/protobuf';
import type { ProgressEvent } from '../../base/progress.ts';
import { statusMessage } from '../control/status-messages.ts';
import { type StatusResponse, StatusResponseSchema } from '../proto/control.gen.ts';

/** So many events of a build that has ended are told at once. */
const TOGETHER = 500;

/** What a build told while it ran, as the messages of `Control.Status`. */
export function* pastStatus(events: readonly ProgressEvent[]): Generator<StatusResponse> {
  for (let at = 0; at < events.length; at += TOGETHER)
    yield statusMessage(events.slice(at, at + TOGETHER));
}

/** The same messages in one document, each after its length (32 bits, little endian). */
export function statusBlob(events: readonly ProgressEvent[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const message of pastStatus(events)) {
    const bytes = toBinary(StatusResponseSchema, message);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.byteLength);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}
