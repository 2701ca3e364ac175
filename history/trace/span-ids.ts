import { createHash } from 'node:crypto';
import type { Digest } from '../../base/digest.ts';
import { parseTraceparent } from './traceparent.ts';

/** The trace of a build that is a part of no other. `id` is that of the build. */
export function traceIdOf(id: string, traceparent: string | undefined): string {
  return parseTraceparent(traceparent)?.traceId ?? idOf(32, 'trace', id);
}

/** The span of a build itself. */
export function buildSpanId(id: string): string {
  return idOf(16, 'build', id);
}

/** The span of a step. It is known before the step runs. */
export function stepSpanId(id: string, vertex: Digest): string {
  return idOf(16, id, vertex);
}

/** The span of a part of a build. `parts` name it among all others. */
export function partSpanId(id: string, ...parts: readonly string[]): string {
  return idOf(16, 'part', id, ...parts);
}

function idOf(length: number, ...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, length);
}
