import type { ServerResponse } from 'node:http';
import { CancelledError, KilnError, messageOf } from '../../base/errors.ts';

/** Answers with a JSON document. */
export function json(response: ServerResponse, value: unknown, status = 200): void {
  const text = `${JSON.stringify(value)}\n`;
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

/** Answers with an empty body. */
export function empty(response: ServerResponse, status = 204): void {
  response.writeHead(status);
  response.end();
}

/**
 * An answer of JSON documents, one after the other, while something runs. It begins with the first
 * document, so that what fails before it is an ordinary error. An error that comes later is a
 * document, too: clients of Docker look for `errorDetail`.
 */
export class JsonStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  write(document: unknown): void {
    if (this.#response.destroyed) return;
    if (!this.#response.headersSent)
      this.#response.writeHead(200, { 'content-type': 'application/json' });
    this.#response.write(`${JSON.stringify(document)}\r\n`);
  }

  /** Tells an error. Throws it when nothing was told before. */
  fail(error: unknown): void {
    if (!this.#response.headersSent) throw error;
    const message = sentenceOf(error);
    const code = error instanceof KilnError ? exitCodeOf(error) : undefined;
    this.write({ errorDetail: { ...(code !== undefined && { code }), message }, error: message });
  }

  end(): void {
    if (!this.#response.headersSent)
      this.#response.writeHead(200, { 'content-type': 'application/json' });
    this.#response.end();
  }
}

/** Runs `work` with a stream of documents. What it throws is told there, if anything was told. */
export async function streaming(
  response: ServerResponse,
  work: (stream: JsonStream) => Promise<void>,
): Promise<void> {
  const stream = new JsonStream(response);
  try {
    await work(stream);
  } catch (error) {
    stream.fail(error);
    if (!(error instanceof KilnError)) throw error;
  }
  stream.end();
}

/** Answers with an error in the form of Docker's engine. */
export function answerFailure(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  json(response, { message: sentenceOf(error) }, statusOf(error));
}

/** What a client shows: the sentence, its code, and the next step. */
function sentenceOf(error: unknown): string {
  if (!(error instanceof KilnError)) return `internal error: ${messageOf(error)}`;
  const hint = error.hint === undefined ? '' : `; ${error.hint}`;
  return `${error.message} [${error.code}]${hint}`;
}

function exitCodeOf(error: KilnError): number | undefined {
  const [, code] = /exit code: (\d+)/.exec(error.message) ?? [];
  return code === undefined ? undefined : Number(code);
}

const STATUS: Readonly<Record<string, number>> = {
  KILN_IMAGE_NOT_FOUND: 404,
  KILN_PLATFORM_MISSING: 404,
  KILN_REQUEST_REFUSED: 403,
  KILN_REQUEST_TOO_LARGE: 413,
  KILN_NO_ENGINE: 501,
  KILN_NOT_ALLOWED: 403,
  KILN_REGISTRY_DENIED: 401,
  KILN_REGISTRY_UNAUTHORIZED: 401,
};

/** Codes of what the client has sent. */
const OF_CLIENT =
  /_(INVALID|DAMAGED|AMBIGUOUS|UNSUPPORTED)$|^KILN_(LAYER_|DOCKERFILE_|SYNTAX|STAGE_|INSTRUCTION_)/;

function statusOf(error: unknown): number {
  if (!(error instanceof KilnError)) return 500;
  if (error instanceof CancelledError) return 499;
  const isOfClient = error.exitCode === 2 || OF_CLIENT.test(error.code);
  return STATUS[error.code] ?? (isOfClient ? 400 : 500);
}
