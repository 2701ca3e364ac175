import type { Duplex } from 'node:stream';
import { Code, ConnectError } from '@connectrpc/connect';
import { type InnerClient, openInnerClient } from '../grpc/inner-client.ts';
import type { AnsweredCall } from '../grpc/inner-server.ts';
import { Health } from '../proto/health.gen.ts';

/**
 * # The session of a client
 *
 * A client lends what a build needs of it (files, secrets, logins) by answering calls on a
 * connection of its own, which lives as long as its `Session` stream. The headers of the stream say
 * who it is and which methods it answers.
 */
export interface ClientSession extends Disposable {
  readonly id: string;
  /** The name of the directory in which the client was called, as a rule. */
  readonly name: string;
  /** The same for all sessions of one client and directory; empty when the client tells none. */
  readonly sharedKey: string;
  readonly client: InnerClient;
  /** True when the client answers the method, such as `/moby.filesync.v1.FileSync/DiffCopy`. */
  supports(path: string): boolean;
}

const PREFIX = 'x-docker-expose-session-';
/** Names and keys are short. */
const MAX_TEXT = 1024;

/**
 * Opens the connection of a session on `bytes`, such as a `Session` stream. Throws a ConnectError
 * for headers that lie.
 */
export function openClientSession(
  metadata: AnsweredCall['metadata'],
  bytes: Duplex,
): ClientSession {
  const text = (name: string) => {
    const value = metadata(`${PREFIX}${name}`).join(', ');
    if (value.length > MAX_TEXT)
      throw new ConnectError(`the header ${PREFIX}${name} is too long`, Code.InvalidArgument);
    return value;
  };
  const id = text('uuid');
  if (id === '') throw new ConnectError('the session has no id', Code.InvalidArgument);
  const methods = metadata(`${PREFIX}grpc-method`).flatMap((value) => value.split(','));
  // Go writes the names of methods in lower case here and there.
  const supported = new Set(methods.map((method) => method.trim().toLowerCase()));
  const client = openInnerClient(bytes);
  const watch = watched(client);
  return {
    id,
    name: text('name'),
    sharedKey: text('sharedkey'),
    client,
    supports: (path) => supported.has(path.toLowerCase()),
    [Symbol.dispose]() {
      clearInterval(watch);
      client[Symbol.dispose]();
    },
  };
}

/** As often as BuildKit asks, as long as it waits, and with its patience. */
const ASK_MS = 5_000;
const ANSWER_MS = 15_000;
const FAILURES = 2;

/** Ends the connection of a client that does not answer any more, though nothing was closed. */
function watched(client: InnerClient): NodeJS.Timeout {
  let failures = 0;
  let isAsking = false;
  const ask = async () => {
    try {
      await client.unary(Health.method.check, {}, AbortSignal.timeout(ANSWER_MS));
      failures = 0;
    } catch (error) {
      // A client that does not know the question has answered.
      if (ConnectError.from(error).code === Code.Unimplemented) failures = 0;
      else if (++failures === FAILURES) client[Symbol.dispose]();
    } finally {
      isAsking = false;
    }
  };
  return setInterval(() => {
    if (isAsking || client.closed.aborted) return;
    isAsking = true;
    void ask();
  }, ASK_MS).unref();
}
