import { ByteStream } from '../api/grpc/byte-stream.ts';
import type { InnerClient } from '../api/grpc/inner-client.ts';
import { type InnerMethods, pathOf, serveInner } from '../api/grpc/inner-server.ts';
import { Control } from '../api/proto/control.gen.ts';

const HEADER = 'x-docker-expose-session-';

/** Who lends, as the server is told. */
export interface SessionNames {
  readonly id: string;
  readonly name: string;
  readonly sharedKey: string;
}

/**
 * Opens a session at the server: a stream inside which the server asks for what is lent. It is open
 * until it is disposed, or until the server ends it.
 */
export function openSession(
  server: InnerClient,
  { id, name, sharedKey }: SessionNames,
  answers: InnerMethods,
): Disposable {
  const ended = new AbortController();
  const headers = {
    [`${HEADER}uuid`]: id,
    [`${HEADER}name`]: encodeURIComponent(name),
    [`${HEADER}sharedkey`]: sharedKey,
    [`${HEADER}grpc-method`]: [...answers.keys()],
  };
  const stream = server.stream(pathOf(Control.method.session), headers, ended.signal);
  // A session that breaks is missed by the build, whose error says so.
  const inner = serveInner(new ByteStream(stream), answers);
  return {
    [Symbol.dispose]() {
      inner[Symbol.dispose]();
      ended.abort();
    },
  };
}
