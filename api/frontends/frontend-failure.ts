import { ConnectError } from '@connectrpc/connect';
import { KilnError, messageOf, type Place } from '../../base/errors.ts';
import { ReturnedError } from '../grpc/returned-error.ts';

/** A message of a frontend is shown up to so many characters. */
const MAX_MESSAGE = 8 << 10;
const SOURCE = 'github.com/moby/buildkit/errdefs.Source';

/** What is known of a frontend that did not answer. */
export interface FrontendFailure {
  readonly image: string;
  /** The errors that its calls were answered with, in order. */
  readonly refused: readonly unknown[];
  /** The end of what it wrote to standard error. */
  readonly output: string;
  readonly hasNetwork: boolean;
}

/**
 * The error for a frontend that returned one. When it passes on the error that one of its calls
 * got, that is the error: it has a code, a place and the output of a step that failed.
 */
export function returnedFailure(error: unknown, failure: FrontendFailure): KilnError {
  const message = messageOf(error);
  const own = failure.refused.findLast(
    (cause): cause is KilnError =>
      cause instanceof KilnError && cause.message !== '' && message.includes(cause.message),
  );
  if (own) return own;
  return new KilnError('KILN_FRONTEND_FAILED', `the frontend ${failure.image}: ${shown(message)}`, {
    cause: error,
    place: error instanceof ReturnedError ? placeIn(error) : undefined,
    hint: hintFor(message, failure),
  });
}

/** The error for a frontend that ended, or was ended, without an answer. `how` says how. */
export function silentFailure(how: string, failure: FrontendFailure): KilnError {
  const { image, refused, output } = failure;
  const last = refused.at(-1);
  const why = last instanceof ConnectError ? last.rawMessage : messageOf(last);
  const told = last === undefined ? '' : `; its last call was refused: ${shown(why)}`;
  return new KilnError('KILN_FRONTEND_FAILED', `the frontend ${image} ${how}${told}`, {
    hint: hintFor(output, failure),
    ...(last !== undefined && { cause: last }),
    notes: output.trim() === '' ? [] : [`the end of its output:\n${shown(output.trim())}`],
  });
}

const NETWORK =
  /ENOTFOUND|EAI_AGAIN|ENETUNREACH|network is unreachable|no such host|name resolution|dial tcp/i;

/** A next step, when what the frontend says looks as if it missed the network. */
function hintFor(text: string, { hasNetwork }: FrontendFailure): string | undefined {
  if (hasNetwork || !NETWORK.test(text)) return undefined;
  return (
    'a frontend runs without network, unless its image has the label ' +
    'moby.buildkit.frontend.network.none=false'
  );
}

/** Text of a frontend without what would steer a terminal. */
function shown(text: string): string {
  return text
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]+/g, ' ')
    .trim()
    .slice(-MAX_MESSAGE);
}

/** The lines of the build file that the frontend says the error is about. */
function placeIn({ status }: ReturnedError): Place | undefined {
  const detail = status.details.find(({ typeUrl }) => typeUrl.includes(SOURCE));
  if (!detail) return undefined;
  try {
    const { info, ranges } = JSON.parse(Buffer.from(detail.value).toString());
    const [range] = ranges;
    const start = range.start.line;
    const end = range.end?.line ?? start;
    const text = Buffer.from(info.data ?? '', 'base64').toString();
    const lines = text.split('\n').length;
    const isIn = (line: unknown) =>
      Number.isInteger(line) && Number(line) > 0 && Number(line) <= lines;
    if (typeof info.filename !== 'string' || !isIn(start) || !isIn(end) || end < start)
      return undefined;
    return {
      kind: 'source',
      source: { name: shown(info.filename), text },
      start: { line: start, column: 0 },
      end: { line: end, column: 0 },
    };
  } catch {
    // A detail that cannot be read says nothing.
    return undefined;
  }
}
