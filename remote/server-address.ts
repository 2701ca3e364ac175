import { KilnError } from '../base/errors.ts';

/** Where a server of BuildKit's API is. */
export type ServerAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      /** Undefined for a connection that is not encrypted. */
      readonly tls: TlsClientFiles | undefined;
    }
  /** A program whose standard input and output are the connection. */
  | { readonly kind: 'program'; readonly words: readonly [string, ...string[]] };

/** Files in PEM form, and the name that the certificate of the server has. */
export interface TlsClientFiles {
  readonly cacert?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly servername?: string | undefined;
}

const SCHEME = /^([a-z][a-z-]*):\/\//;
/** Programs that run another one in a container, by the schemes of BuildKit's addresses. */
const CONTAINERS: Readonly<Record<string, string>> = {
  'docker-container': 'docker',
  'podman-container': 'podman',
  'nerdctl-container': 'nerdctl',
};
const NAME = /^[\w][\w.-]*$/;
const DIAL = ['buildctl', 'dial-stdio'] as const;

/**
 * Parses `unix://PATH`, `tcp://HOST:PORT`, `ssh://[USER@]HOST[:PORT][/SOCKET]`,
 * `docker-container://NAME` (also of podman and nerdctl), and `kube-pod://POD`. Files for TLS are
 * given apart, or after the address: `tcp://HOST:PORT?cacert=FILE&cert=FILE&key=FILE`. `flag` is
 * the flag or the variable that names the address. Throws KILN_ADDRESS_INVALID.
 */
export function parseServerAddress(
  text: string,
  flag: string,
  tls: TlsClientFiles = {},
): ServerAddress {
  const fail = (why: string): never => {
    throw new KilnError(
      'KILN_ADDRESS_INVALID',
      `${JSON.stringify(text)} is not an address: ${why}`,
      {
        place: { kind: 'flag', flag },
        hint: 'write unix:///run/buildkit/buildkitd.sock, tcp://HOST:PORT or ssh://USER@HOST',
        exitCode: 2,
      },
    );
  };
  const scheme = SCHEME.exec(text)?.[1] ?? '';
  if (scheme === 'unix') {
    const path = text.slice('unix://'.length);
    return path.startsWith('/') ? { kind: 'unix', path } : fail('the path is not absolute');
  }
  const url = URL.parse(text);
  if (!url) return fail('it is not a URL');
  const { searchParams: query } = url;
  if (scheme === 'tcp') return tcpAddress(url, tls, fail);
  if (scheme === 'ssh') return sshAddress(url, fail);
  const name = url.host;
  const container = Object.hasOwn(CONTAINERS, scheme) ? CONTAINERS[scheme] : undefined;
  if (!container && scheme !== 'kube-pod') return fail(`its scheme is not known`);
  if (!NAME.test(name)) return fail('it names no container');
  const option = (flagName: string): string[] => {
    const value = query.get(flagName) ?? '';
    if (value !== '' && !NAME.test(value)) fail(`${flagName} is not a name`);
    return value === '' ? [] : [`--${flagName}=${value}`];
  };
  if (container) {
    const context = container === 'docker' ? option('context') : [];
    return { kind: 'program', words: [container, ...context, 'exec', '-i', name, ...DIAL] };
  }
  return {
    kind: 'program',
    words: [
      'kubectl',
      ...option('context'),
      ...option('namespace'),
      'exec',
      ...option('container'),
      '-i',
      name,
      '--',
      ...DIAL,
    ],
  };
}

function tcpAddress(url: URL, files: TlsClientFiles, fail: (why: string) => never): ServerAddress {
  const port = Number(url.port);
  if (url.hostname === '' || url.port === '') return fail('it names no port');
  const { searchParams: query } = url;
  const value = (name: keyof TlsClientFiles) => query.get(name) ?? files[name];
  const tls: TlsClientFiles = {
    cacert: value('cacert'),
    cert: value('cert'),
    key: value('key'),
    servername: value('servername'),
  };
  for (const name of query.keys())
    if (!Object.hasOwn(tls, name)) fail(`${JSON.stringify(name)} is not an option of it`);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const isEncrypted = (tls.cacert ?? tls.cert ?? tls.key ?? tls.servername) !== undefined;
  return { kind: 'tcp', host, port, tls: isEncrypted ? tls : undefined };
}

function sshAddress(url: URL, fail: (why: string) => never): ServerAddress {
  const { username, password, hostname, port, pathname, search } = url;
  if (password !== '') return fail('a password is not taken');
  if (hostname === '') return fail('it names no host');
  if (search !== '') return fail('it has a query');
  const socket = pathname === '' || pathname === '/' ? undefined : decodeURIComponent(pathname);
  // What is sent is read by a shell there.
  if (socket !== undefined && !/^[\w./-]+$/.test(socket)) return fail('its path is not plain');
  return {
    kind: 'program',
    words: [
      'ssh',
      ...(username === '' ? [] : ['-l', decodeURIComponent(username)]),
      ...(port === '' ? [] : ['-p', port]),
      '--',
      hostname,
      'buildctl',
      ...(socket === undefined ? [] : ['--addr', `unix://${socket}`]),
      'dial-stdio',
    ],
  };
}
