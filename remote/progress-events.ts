import { type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import type { StatusResponse, VertexWarning } from '../api/proto/control.gen.ts';
import { type Digest, isDigest } from '../base/digest.ts';
import type { ProgressEvent, WarningEvent } from '../base/progress.ts';

/** Words in the error of a vertex that ended because the build did. */
const CANCELLED = 'context canceled';
/** So many vertices and parts of them are heard of. No build has more. */
const MAX_THINGS = 200_000;

/**
 * Reads the progress that a server tells, as the events of a build here: the inverse of
 * `statusMessage`. What names no vertex by a digest is left out.
 */
export class ProgressReader {
  readonly #known = new Set<string>();

  /**
   * A message has the state of each vertex as it is after all that the message tells of it. So the
   * end of a vertex is an event behind what it wrote.
   */
  read({ vertexes, statuses, logs, warnings }: StatusResponse): ProgressEvent[] {
    const events: ProgressEvent[] = [];
    const ends: ProgressEvent[] = [];
    for (const { digest, inputs, name, cached, error, ...times } of vertexes) {
      if (!isDigest(digest) || !this.#isHeard(digest)) continue;
      const { started, completed } = timesOf(times);
      const begun = {
        kind: 'vertex',
        vertex: digest,
        name,
        inputs: inputs.filter(isDigest),
        ...(started !== undefined && { started }),
      } as const;
      events.push(begun);
      if (completed === undefined && !cached && error === '') continue;
      ends.push({
        ...begun,
        ...(completed !== undefined && { completed }),
        ...(cached && { cached }),
        ...(error !== '' && { error }),
        ...(error.includes(CANCELLED) && { cancelled: true }),
      });
    }
    for (const { id, vertex, current, total, timestamp, ...times } of statuses) {
      if (!isDigest(vertex) || !this.#isHeard(`${vertex} ${id}`)) continue;
      events.push({
        kind: 'status',
        vertex,
        id,
        // The field 'name' is what kind of work it is. Clients show the id.
        name: id,
        current: Number(current),
        total: Number(total),
        timestamp: msOf(timestamp) ?? Date.now(),
        ...timesOf(times),
      });
    }
    for (const { vertex, stream, msg, timestamp } of logs)
      if (isDigest(vertex))
        events.push({
          kind: 'log',
          vertex,
          stream: stream === 2n ? 2 : 1,
          data: msg,
          timestamp: msOf(timestamp) ?? Date.now(),
        });
    for (const warning of warnings) events.push(warningOf(warning));
    return [...events, ...ends];
  }

  #isHeard(thing: string): boolean {
    return this.#known.has(thing) || (this.#known.size < MAX_THINGS && !!this.#known.add(thing));
  }
}

function warningOf({ vertex, short, detail, url, info, ranges }: VertexWarning): WarningEvent {
  const [range] = ranges;
  const startLine = range?.start?.line ?? 0;
  return {
    kind: 'warning',
    ...(isDigest(vertex) && { vertex: vertex as Digest }),
    short: textOf(short),
    detail: detail.map(textOf),
    ...(url !== '' && { url }),
    ...(info &&
      range && {
        source: {
          name: info.filename,
          text: textOf(info.data),
          startLine,
          endLine: range.end?.line ?? startLine,
        },
      }),
  };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

function timesOf({
  started,
  completed,
}: {
  readonly started?: Timestamp | undefined;
  readonly completed?: Timestamp | undefined;
}) {
  const [from, to] = [msOf(started), msOf(completed)];
  return {
    ...(from !== undefined && { started: from }),
    ...(to !== undefined && { completed: to }),
  };
}

/** Undefined also for a time that no Date can have, which views would not print. */
function msOf(time: Timestamp | undefined): number | undefined {
  if (!time) return undefined;
  const ms = timestampMs(time);
  return Math.abs(ms) <= 8.64e15 ? ms : undefined;
}
