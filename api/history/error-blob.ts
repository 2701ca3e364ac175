import { create, fromBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { type Status, StatusSchema } from '../proto/rpc-status.gen.ts';
import type { BuildRecord } from './build-record.ts';

/** The error of a client's build with its details, a google.rpc.Status. */
export function errorBlob({ ended }: Pick<BuildRecord, 'ended'>): Uint8Array | undefined {
  const status = ended?.['status'];
  return typeof status === 'string' ? Buffer.from(status, 'base64') : undefined;
}

/** The error of any build. One of the command line has no details. */
export function recordedError(record: Pick<BuildRecord, 'ended'>): Status | undefined {
  const blob = errorBlob(record);
  if (blob) return fromBinary(StatusSchema, blob);
  const { error, code } = record.ended ?? {};
  if (typeof error !== 'string') return undefined;
  const status = code === 'KILN_CANCELLED' ? Code.Canceled : Code.Unknown;
  return create(StatusSchema, { code: status, message: error });
}
