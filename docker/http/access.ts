import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { KilnError } from '../../base/errors.ts';

/** The headers by which a browser says that a page asks. No other client sends them. */
const OF_BROWSERS = ['origin', 'sec-fetch-site', 'sec-fetch-mode'];

/**
 * Refuses requests of pages in a browser. A page can send requests to addresses of this host, and
 * whoever builds here runs programs. It says who it is in headers that it cannot leave out, or it
 * names the host by a name that somebody else owns. Throws KILN_REQUEST_REFUSED.
 */
export function refuseBrowsers(headers: IncomingHttpHeaders): void {
  const found = OF_BROWSERS.find((name) => headers[name] !== undefined);
  if (found !== undefined) throw refused(`it has the header ${found}, which browsers send`);
  const host = hostOf(headers.host ?? '');
  if (!isOwn(host))
    throw refused(`its Host, ${JSON.stringify(host)}, is not the name of this host`);
}

function hostOf(header: string): string {
  return header.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

/**
 * Clients of a socket in the file system name any word as the host: `docker`, `d`, `localhost`,
 * `api.moby.localhost`, the path of the socket. A page needs a name that a name server knows.
 */
function isOwn(host: string): boolean {
  return isIP(host) !== 0 || !host.includes('.') || /\.localhost$/.test(host) || /[/%]/.test(host);
}

function refused(why: string): KilnError {
  return new KilnError('KILN_REQUEST_REFUSED', `the request is refused: ${why}`, {
    hint: 'use a client of Docker, by the socket',
    exitCode: 2,
  });
}
