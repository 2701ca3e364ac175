import { ConnectError } from '@connectrpc/connect';
import type { KilnErrorCode } from '../base/codes.ts';
import { CancelledError, KilnError, type SourcePlace } from '../base/errors.ts';

/** How Kiln tells its errors to clients: the sentence, its code, and the next step. */
const TOLD_BY_KILN = /^(.*) \[(KILN_[A-Z_]{1,40})\](?:\n(.*))?$/s;
/** How BuildKit tells of a step whose program failed. */
const STEP_FAILED = /process ".*" did not complete successfully: exit code: \d+$/s;
const DETAIL = /(?:^|\/)errdefs\.(\w+)(?:\+json)?$/;
/** A line of the output of a step that is quoted. */
const MAX_LINE = 2_000;

/** The end of the output of this vertex, or else of the one that failed, in lines. */
export type OutputEnd = (vertex: string | undefined) => readonly string[];

/**
 * The error of a server as the user is told it: with the lines of the Dockerfile, and the end of
 * the output of the step that failed. An error of a Kiln elsewhere keeps its code. Errors that do
 * not come from the server are returned unchanged.
 */
export function serverError(error: unknown, outputEnd: OutputEnd, signal: AbortSignal): unknown {
  if (signal.aborted) return new CancelledError(error);
  if (!(error instanceof ConnectError)) return error;
  const [, message = error.rawMessage, told, hint] = TOLD_BY_KILN.exec(error.rawMessage) ?? [];
  const code = told ?? (STEP_FAILED.test(message) ? 'KILN_STEP_FAILED' : 'KILN_SERVER_FAILED');
  const details = detailsOf(error);
  const vertex = textIn(details.get('Vertex'), 'digest');
  return new KilnError(code as KilnErrorCode, withoutPrefix(message), {
    place: placeOf(details.get('Source')),
    hint,
    notes: outputEnd(vertex).map((line) => line.slice(0, MAX_LINE)),
    cause: error,
  });
}

/** Servers say in several words that what follows is why a build failed. */
function withoutPrefix(message: string): string {
  return message.replace(/^(?:failed to solve(?: with frontend \S+)?: )+/, '');
}

/** The first detail of each kind, which is JSON. */
function detailsOf(error: ConnectError): ReadonlyMap<string, object> {
  const found = new Map<string, object>();
  for (const detail of error.details) {
    if (!('type' in detail)) continue;
    const [, name] = DETAIL.exec(detail.type) ?? [];
    if (name === undefined || found.has(name)) continue;
    const value = jsonIn(detail.value);
    if (value) found.set(name, value);
  }
  return found;
}

function jsonIn(bytes: Uint8Array): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function placeOf(source: object | undefined): SourcePlace | undefined {
  const { info, ranges } = (source ?? {}) as { readonly info?: object; readonly ranges?: unknown };
  const data = textIn(info, 'data');
  const [range] = (Array.isArray(ranges) ? ranges : []) as readonly object[];
  const start = lineIn(range, 'start');
  if (data === undefined || start === undefined) return undefined;
  return {
    kind: 'source',
    source: {
      name: textIn(info, 'filename') ?? 'Dockerfile',
      text: Buffer.from(data, 'base64').toString(),
    },
    start: { line: start, column: 0 },
    end: { line: Math.max(start, lineIn(range, 'end') ?? start), column: 0 },
  };
}

function textIn(value: object | undefined, name: string): string | undefined {
  const text = (value as Readonly<Record<string, unknown>> | undefined)?.[name];
  return typeof text === 'string' ? text : undefined;
}

function lineIn(range: object | undefined, name: 'start' | 'end'): number | undefined {
  const position = (range as Readonly<Record<string, { readonly line?: unknown }>> | undefined)?.[
    name
  ];
  const line = position?.line;
  return Number.isSafeInteger(line) && Number(line) > 0 ? Number(line) : undefined;
}
