import type { Agent, IncomingMessage } from 'node:http';
import type { SecureContextOptions } from 'node:tls';

/** A request without a body whose answer is small. */
export interface Question {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Sends a request by Node's own client: a build whose steps are all cached sends one or two of
 * them, and loading undici would take longer than the answer. `agent` keeps the connections.
 * Resolves when the head of the answer is there. Rejects with errors of the client, which have the
 * codes that undici's have. `timeouts` are milliseconds, as in transport.ts.
 */
export async function sendQuestion(
  { url, method, headers, signal }: Question,
  agent: Agent,
  timeouts: Readonly<Record<'connect' | 'headers' | 'idle', number>>,
): Promise<IncomingMessage> {
  const { request } =
    url.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = request(url, { method, headers, agent, signal });
  const failing = (code: string, ms: number) =>
    setTimeout(() => sent.destroy(Object.assign(new Error(code), { code })), ms);
  let timer = failing('UND_ERR_CONNECT_TIMEOUT', timeouts.connect);
  sent.once('error', reject);
  sent.once('socket', (socket) => {
    const connected = () => {
      clearTimeout(timer);
      timer = failing('UND_ERR_HEADERS_TIMEOUT', timeouts.headers);
    };
    if (sent.reusedSocket) connected();
    else socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', connected);
  });
  sent.once('response', (response) => {
    response.setTimeout(timeouts.idle, () =>
      response.destroy(
        Object.assign(new Error('the body stopped'), { code: 'UND_ERR_BODY_TIMEOUT' }),
      ),
    );
    resolve(response);
  });
  sent.end();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Makes the agent of one origin. `options` are those of its TLS, if it has TLS. */
export async function openAgent(
  origin: string,
  options: SecureContextOptions & { readonly rejectUnauthorized?: boolean },
  maxSockets: number,
): Promise<Agent> {
  const { Agent } = origin.startsWith('https:')
    ? await import('node:https')
    : await import('node:http');
  return new Agent({ keepAlive: true, maxSockets, ...options });
}
