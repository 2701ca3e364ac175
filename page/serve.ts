import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { KilnError, messageOf } from '../base/errors.ts';
import { osError } from '../base/oserror.ts';
import { answerPageRequest } from './page-answers.ts';
import { type PageParts, SERVED_POLICY, servedDocument } from './page-document.ts';
import { PageGuard } from './page-guard.ts';
import type { PageSource } from './page-source.ts';

export interface PageOptions {
  readonly source: PageSource;
  readonly parts: PageParts;
  /** 0, or absent, for a port that is free. */
  readonly port?: number;
}

/** A page that is served until it is disposed. */
export interface OpenPage extends AsyncDisposable {
  /** The address with the token. It opens once. `build` leads to the page of a build. */
  address(build?: string): string;
  readonly port: number;
}

/** Serves the page on loopback. Throws KILN_ADDRESS_UNUSABLE. */
export async function openPage({ source, parts, port = 0 }: PageOptions): Promise<OpenPage> {
  const guard = new PageGuard();
  const closing = new AbortController();
  const server = createServer((request, response) => {
    void answer(request, response).catch((error: unknown) => fail(response, error));
  });
  const ownPort = () => (server.address() as AddressInfo).port;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const refused = guard.refusal(request, ownPort());
    if (refused !== undefined) return refuse(response, 403, refused);
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return refuse(response, 405, 'the page only reads');
    const url = new URL(request.url ?? '/', 'http://page');
    const token = url.searchParams.get('token');
    if (url.pathname === '/' && token !== null) {
      const cookie = guard.exchange(token, ownPort());
      if (cookie === undefined && !guard.isKnown(request, ownPort()))
        return refuse(response, 403, USED);
      return welcome(response, cookie, url.searchParams.get('build'));
    }
    if (!guard.isKnown(request, ownPort())) return refuse(response, 403, USED);
    if (url.pathname === '/') return send(response, 'text/html; charset=utf-8', servedDocument());
    if (url.pathname === '/page.js') return send(response, 'text/javascript', parts.script);
    if (url.pathname === '/page.css') return send(response, 'text/css', parts.style);
    if (!url.pathname.startsWith('/api/')) return refuse(response, 404, 'there is no such page');
    await answerPageRequest(source, url, response, closing.signal);
  }

  await new Promise<void>((done, failed) => {
    server.once('error', (error) =>
      failed(
        osError(error, {
          code: 'KILN_ADDRESS_UNUSABLE',
          what: `the page cannot be served at 127.0.0.1:${port}`,
        }),
      ),
    );
    server.listen(port, '127.0.0.1', done);
  });
  return {
    port: ownPort(),
    address: (build) => {
      const place = build === undefined ? '' : `&build=${encodeURIComponent(build)}`;
      return `http://127.0.0.1:${ownPort()}/?token=${guard.token}${place}`;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}

const USED =
  "this address was opened before, or its token is not right: run 'kiln ui' again, and open the " +
  'address that it prints';

const HEADERS = {
  'content-security-policy': SERVED_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const;

/**
 * Gives the cookie and has the browser go on from this page. A redirect would not do: a browser
 * sends no strict cookie with a redirect that a link in another page has led to.
 */
function welcome(response: ServerResponse, cookie: string | undefined, build: string | null): void {
  if (cookie !== undefined) response.setHeader('set-cookie', cookie);
  const place = build === null ? '' : `#/build/${encodeURIComponent(build)}`;
  send(
    response,
    'text/html; charset=utf-8',
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Kiln</title>' +
      '<meta http-equiv="refresh" ' +
      `content="0;url=/${place}">`,
  );
}

function send(response: ServerResponse, type: string, body: string): void {
  response.setHeader('content-type', type);
  response.end(body);
}

function refuse(response: ServerResponse, status: number, why: string): void {
  response.statusCode = status;
  send(response, 'text/plain; charset=utf-8', `${why}\n`);
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.end();
  response.statusCode = 500;
  const document = {
    error: messageOf(error),
    ...(error instanceof KilnError && { code: error.code, hint: error.hint }),
  };
  send(response, 'application/json', JSON.stringify(document));
}
