import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/**
 * Who may see the page. A token in the address is good for one request. The browser that sends it
 * gets a cookie in exchange, which names the session and is sent by this page alone. Other pages
 * cannot use it: requests whose Host or Origin is another's are refused, so that neither a link nor
 * a name that is made to lead to this host (DNS rebinding) reaches an answer.
 */
export class PageGuard {
  readonly token = secret();
  readonly #session = secret();
  #isTokenGood = true;

  /** Says why a request is refused. Undefined when it names this server and comes from its page. */
  refusal({ headers }: IncomingMessage, port: number): string | undefined {
    const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
    if (!hosts.includes(headers.host ?? '')) return 'this server has another name';
    const { origin } = headers;
    if (origin !== undefined && !hosts.some((host) => origin === `http://${host}`))
      return 'the request comes from another page';
    return undefined;
  }

  /** Takes a token, once. Returns the cookie of the session, or undefined for a wrong token. */
  exchange(token: string, port: number): string | undefined {
    if (!this.#isTokenGood || !isSame(token, this.token)) return undefined;
    this.#isTokenGood = false;
    return `${cookieName(port)}=${this.#session}; HttpOnly; SameSite=Strict; Path=/`;
  }

  isKnown({ headers }: IncomingMessage, port: number): boolean {
    const name = `${cookieName(port)}=`;
    const cookies = (headers.cookie ?? '').split(';').map((text) => text.trim());
    return cookies.some(
      (text) => text.startsWith(name) && isSame(text.slice(name.length), this.#session),
    );
  }
}

/** Cookies of all ports of a host are sent to each, so the port is a part of the name. */
function cookieName(port: number): string {
  return `kiln-page-${port}`;
}

function secret(): string {
  return randomBytes(24).toString('base64url');
}

function isSame(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
