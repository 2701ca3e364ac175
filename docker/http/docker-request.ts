import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

/** A request of a client, as a handler gets it. */
export interface DockerRequest {
  readonly method: string;
  /** The parts of the path that the route leaves open, decoded, such as the name of an image. */
  readonly params: readonly string[];
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
  /** The version of the API that the client speaks, such as `1.51`. */
  readonly version: string;
  /** Aborts when the client hangs up, or when the server ends. */
  readonly signal: AbortSignal;
}

/** Answers a request. Throws before it writes, or writes all of the answer. */
export type Handler = (request: DockerRequest, response: ServerResponse) => Promise<void>;

/** The value of a query parameter that is a boolean, as Go clients write and leave it out. */
export function isSet(query: URLSearchParams, name: string): boolean {
  const value = query.get(name)?.trim().toLowerCase();
  return value !== undefined && !['', '0', 'no', 'false', 'none', 'f'].includes(value);
}
