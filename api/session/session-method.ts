import { once } from 'node:events';
import { ByteStream } from '../grpc/byte-stream.ts';
import { type InnerMethod, pathOf } from '../grpc/inner-server.ts';
import { Control } from '../proto/control.gen.ts';
import { openClientSession } from './client-session.ts';
import type { Sessions } from './sessions.ts';

/**
 * Answers Control.Session, with its path: a client opens its session, which lasts as long as the
 * stream. Its messages are bytes of the connection inside. A client tells each of its files in a
 * frame of that connection, and each frame in a message.
 */
export function sessionMethod(sessions: Sessions): readonly [path: string, answer: InnerMethod] {
  return [
    pathOf(Control.method.session),
    async ({ stream, metadata, signal }) => {
      const bytes = new ByteStream(stream);
      using session = openClientSession(metadata, bytes);
      using _open = sessions.add(session);
      signal.addEventListener('abort', () => bytes.destroy(), { once: true });
      if (!bytes.destroyed) await once(bytes, 'close');
    },
  ];
}
