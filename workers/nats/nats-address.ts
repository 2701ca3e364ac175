import { KilnError } from '../../base/errors.ts';

/** How a NATS server is reached: parsed from an address and the environment. */
export interface NatsAddress {
  /** `host:port` of each server of the cluster that is tried. */
  readonly servers: readonly string[];
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  /** Paths of files. */
  readonly creds?: string | undefined;
  readonly nkey?: string | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** True for `tls://`, and when a file of TLS is named. */
  readonly isTls: boolean;
  /** The address without what is secret in it, for messages. */
  readonly shown: string;
}

const PARAMETERS = ['creds', 'nkey', 'ca', 'cert', 'key'] as const;
/** The names that the tools of NATS use. */
const VARIABLES = {
  user: 'NATS_USER',
  password: 'NATS_PASSWORD',
  token: 'NATS_TOKEN',
  creds: 'NATS_CREDS',
  nkey: 'NATS_NKEY',
  ca: 'NATS_CA',
  cert: 'NATS_CERT',
  key: 'NATS_KEY',
} as const;

export function isNatsAddress(text: string): boolean {
  return /^(?:nats|tls):\/\//.test(text);
}

/**
 * Parses `nats://[USER:PASSWORD@|TOKEN@]HOST[:PORT][,…][?creds=FILE&nkey=FILE&ca=FILE&cert=FILE&
 * key=FILE]`, or the same with `tls://`. What the address does not say is taken from the variables
 * of `env`. `flag` is named in errors. Throws KILN_ADDRESS_INVALID.
 */
export function parseNatsAddress(
  text: string,
  flag: string,
  env: Readonly<Record<string, string | undefined>>,
): NatsAddress {
  const [, scheme, rest = '', query = ''] = /^(nats|tls):\/\/([^?]*)(?:\?(.*))?$/s.exec(text) ?? [];
  const urls = rest.split(',').map((part) => urlOf(part.replace(/^(?:nats|tls):\/\//, '')));
  const given = new Map(new URLSearchParams(query));
  const unknown = [...given.keys()].find((name) => !PARAMETERS.some((known) => known === name));
  if (!scheme || urls.some((url) => !url) || unknown !== undefined)
    throw new KilnError(
      'KILN_ADDRESS_INVALID',
      unknown === undefined
        ? `${shownAddress(text)} is not the address of a NATS server`
        : `the address of a NATS server has no parameter ${JSON.stringify(unknown)}`,
      {
        place: { kind: 'flag', flag },
        hint: 'write nats://HOST:4222, with ?creds=FILE where NATS wants credentials',
        exitCode: 2,
      },
    );
  const first = urls[0]!;
  const own = (name: keyof typeof VARIABLES) => env[VARIABLES[name]] || undefined;
  const files = Object.fromEntries(
    PARAMETERS.map((name) => [name, given.get(name) ?? own(name)]),
  ) as Pick<NatsAddress, (typeof PARAMETERS)[number]>;
  const isToken = first.username !== '' && first.password === '';
  return {
    servers: urls.map((url) => `${url!.hostname}:${url!.port || '4222'}`),
    user: first.password ? decodeURIComponent(first.username) : own('user'),
    password: first.password ? decodeURIComponent(first.password) : own('password'),
    token: isToken ? decodeURIComponent(first.username) : own('token'),
    ...files,
    isTls: scheme === 'tls' || [files.ca, files.cert].some((file) => file !== undefined),
    shown: shownAddress(text),
  };
}

function urlOf(part: string): URL | undefined {
  const url = URL.canParse(`http://${part}`) ? new URL(`http://${part}`) : undefined;
  return url && url.hostname !== '' && ['', '/'].includes(url.pathname) ? url : undefined;
}

function shownAddress(text: string): string {
  return text.replace(/[^/@,]*@/g, '').replace(/\?.*$/s, '');
}
