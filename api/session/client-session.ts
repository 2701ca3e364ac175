import type { Duplex } from 'node:stream';
import { Code, ConnectError } from '@connectrpc/connect';
import { type InnerClient, openInnerClient } from '../grpc/inner-client.ts';
import type { AnsweredCall } from '../grpc/inner-server.ts';
import { watchPeer } from '../grpc/watch-peer.ts';

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
  const watch = watchPeer(client);
  return {
    id,
    name: text('name'),
    sharedKey: text('sharedkey'),
    client,
    supports: (path) => supported.has(path.toLowerCase()),
    [Symbol.dispose]() {
      watch[Symbol.dispose]();
      client[Symbol.dispose]();
    },
  };
}
