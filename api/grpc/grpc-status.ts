import { create, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import { CancelledError, KilnError, messageOf, type SourcePlace } from '../../base/errors.ts';
import { unhandledOsError } from '../../base/oserror.ts';
import { redactUrl } from '../../base/redact.ts';
import { GraphFailure } from '../../builder/graph-failure.ts';
import { asBuildKitSays } from '../../frontend/problem.ts';
import { VertexError } from '../../solver/failure.ts';
import { type Status, StatusSchema } from '../proto/rpc-status.gen.ts';
import { DenialMessages } from './denial-messages.ts';
import { FailedFrontend } from './failed-frontend.ts';
import { MissingCap, MissingSubrequest } from './missing-cap.ts';
import { ReturnedError } from './returned-error.ts';
import { SolveFailure } from './solve-failure.ts';
import { stackDetail } from './stack-detail.ts';

/**
 * # Errors as clients of BuildKit read them
 *
 * An error travels as a code, a sentence and typed details. BuildKit writes the details as JSON
 * under names of its own, which its client knows: from `errdefs.Source` it prints the lines of the
 * Dockerfile, from `errdefs.Vertex` it finds the log of the step.
 */
const DETAILS = 'github.com/moby/buildkit/errdefs.';
const STACK = 'github.com/moby/buildkit/stack.Stack+json';

/** A text of more bytes is not sent along with an error: headers have a limit. */
const MAX_SOURCE = 1 << 20;

/** A longer sentence is cut: it is a header, and may quote what a client has sent. */
const MAX_SENTENCE = 8 << 10;

/** What a server may send in the headers and trailers of one answer, in bytes. */
export const MAX_HEADERS = 8 << 20;

/** The codes of gRPC that clients act on; all other failures are `unknown`, and only printed. */
function codeOf(error: unknown): Code {
  if (error instanceof CancelledError) return Code.Canceled;
  if (!(error instanceof KilnError)) return Code.Unknown;
  switch (error.code) {
    case 'KILN_FRONTEND_UNSUPPORTED':
    case 'KILN_OP_UNSUPPORTED':
    case 'KILN_SOURCE_UNSUPPORTED':
    case 'KILN_REQUEST_UNSUPPORTED':
      return Code.Unimplemented;
    case 'KILN_LLB_MALFORMED':
    case 'KILN_GRAPH_INVALID':
    case 'KILN_REQUEST_INVALID':
      return Code.InvalidArgument;
    default:
      return Code.Unknown;
  }
}

/**
 * Throws what a client is told of `thrown`, whose details go with the answer of `context`. What is
 * not a KilnError is a bug: `tell` gets it with its stack.
 */
export function refuse(
  thrown: unknown,
  context: Pick<HandlerContext, 'responseTrailer'>,
  tell: (error: unknown) => void,
): never {
  if (thrown instanceof ConnectError) throw shortened(thrown);
  const error = unhandledOsError(thrown);
  const returned = causesOf(error).find((cause) => cause instanceof ReturnedError);
  if (returned) return refuseAs(returned.status, context);
  if (!(error instanceof KilnError)) tell(error);
  refuseAs(errorStatus(error), context);
}

/** An error as a message with its code, sentence and details. */
export function errorStatus(error: unknown): Status {
  if (error instanceof ReturnedError) return error.status;
  const code = codeOf(error);
  return create(StatusSchema, { code, message: sentenceOf(error), details: detailsOf(error) });
}

/** Whether a detail of an error is about an op, also when a client has sent it. */
export function isSolveDetail(typeUrl: string): boolean {
  return typeUrl.endsWith('errdefs.Solve+json');
}

function refuseAs(status: Status, context: Pick<HandlerContext, 'responseTrailer'>): never {
  const { code, message, details } = status;
  if (details.length > 0) {
    const text = Buffer.from(toBinary(StatusSchema, status)).toString('base64');
    context.responseTrailer.set('grpc-status-details-bin', text.replace(/=+$/, ''));
  }
  throw new ConnectError(cut(message), code in Code ? code : Code.Unknown);
}

function shortened(error: ConnectError): ConnectError {
  if (error.rawMessage.length <= MAX_SENTENCE) return error;
  return new ConnectError(cut(error.rawMessage), error.code);
}

function cut(sentence: string): string {
  return sentence.length <= MAX_SENTENCE ? sentence : `${sentence.slice(0, MAX_SENTENCE)}…`;
}

function sentenceOf(error: unknown): string {
  if (!(error instanceof KilnError)) return redactUrl(cut(messageOf(error)));
  const hint = error.hint === undefined ? '' : `\n${error.hint}`;
  return redactUrl(`${cut(wordsOf(error))} [${error.code}]${cut(hint)}`);
}

/**
 * The sentence in the words of BuildKit, where its clients look for them. A source of COPY that is
 * missing is found where BuildKit computes the digest of what is copied.
 */
function wordsOf(error: KilnError): string {
  if (error.code !== 'KILN_COPY_SOURCE_MISSING') return asBuildKitSays(error);
  const vertex = vertexOf(error) ?? 'source';
  const what = `failed to calculate checksum of ref ${vertex}`;
  return `failed to compute cache key: ${what}: ${error.message}`;
}

function vertexOf(error: unknown): string | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof VertexError) return cause.vertex.digest;
  return undefined;
}

interface Detail {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

function detailsOf(error: unknown): Detail[] {
  const causes = causesOf(error);
  const stack = stackDetail(causes);
  const details = [
    ...(stack ? [{ typeUrl: STACK, value: Buffer.from(JSON.stringify(stack)) }] : []),
    ...placesOf(error).map((place) => detail('Source', sourceOf(place))),
  ];
  for (const cause of causes)
    if (cause instanceof SolveFailure) details.push(detail('Solve', cause.detail));
    else if (cause instanceof VertexError)
      details.push(detail('Vertex', { digest: cause.vertex.digest }));
    else if (cause instanceof DenialMessages) details.push(denial(cause));
    else if (cause instanceof MissingCap) details.push(detail('FrontendCap', { name: cause.cap }));
    else if (cause instanceof FailedFrontend)
      details.push(detail('Frontend', { name: cause.frontend, source: cause.source || undefined }));
    else if (cause instanceof MissingSubrequest)
      details.push(detail('Subrequest', { name: cause.request }));
  return details;
}

/**
 * The places of an error: all that a client's graph names for the vertex, the last one first, as
 * BuildKit tells them, or else the one that is known.
 */
function placesOf(error: unknown): readonly ToldPlace[] {
  if (!(error instanceof KilnError) || error.place?.kind !== 'source') return [];
  const failed = causesOf(error).find((cause) => cause instanceof GraphFailure);
  const told = failed?.vertex.metadata.locations.filter(({ source }) => source.told) ?? [];
  return told.length > 0 ? told.toReversed() : [error.place];
}

/** A place of an error, or of a vertex in a graph of a client. */
interface ToldPlace extends Pick<SourcePlace, 'source'> {
  readonly start: { readonly line: number; readonly character?: number };
  readonly end: { readonly line: number };
}

/** BuildKit has it under a name of its own. */
function denial({ messages }: DenialMessages): Detail {
  const denyMessages = messages.map((message) => ({ message }));
  return {
    typeUrl: 'github.com/moby/buildkit/policysession.DecisionResponse+json',
    value: Buffer.from(JSON.stringify({ action: 'DENY', denyMessages })),
  };
}

/** The error and its causes. */
function causesOf(error: unknown): readonly Error[] {
  const causes: Error[] = [];
  for (let cause = error; cause instanceof Error; cause = cause.cause) causes.push(cause);
  return causes;
}

function detail(name: string, value: unknown): Detail {
  return { typeUrl: `${DETAILS}${name}+json`, value: Buffer.from(JSON.stringify(value)) };
}

/** BuildKit tells a range for each line. Of a longer place its first and last line are told. */
const MAX_LINES = 500;

function sourceOf({ source, start, end }: ToldPlace) {
  const { told } = source;
  const text = Buffer.from(redactUrl(source.text));
  const count = end.line - start.line + 1;
  const lines = count > 1 && count <= MAX_LINES ? count : 1;
  return {
    info: {
      filename: source.name,
      ...(text.byteLength <= MAX_SOURCE && { data: text.toString('base64') }),
      // Clients expect a graph that reads the file. Kiln tells the text only.
      ...((!told || told.definition) && { definition: {} }),
      language: told?.language ?? 'Dockerfile',
    },
    ranges: Array.from({ length: lines }, (_, index) => ({
      start: {
        line: start.line + index,
        ...(index === 0 && start.character && { character: start.character }),
      },
      end: { line: lines === 1 ? end.line : start.line + index },
    })),
  };
}
