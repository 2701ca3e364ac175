import { generateKeyPairSync, sign } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { type InnerMethods, unaryAnswer } from '../../api/grpc/inner-server.ts';
import { Auth } from '../../api/proto/auth.gen.ts';
import { KilnError } from '../../base/errors.ts';
import { RegistryClient } from '../../registry/client.ts';
import type { Loans } from './loans.ts';

/** The registry itself may have given the token some time ago. Seconds. */
const LIFETIME = 60;
const HUB_HOST = 'registry-1.docker.io';

/** How long a registry may take to say what it wants, in milliseconds. */
const ASKING_MS = 15_000;
/** What is wrong with a registry that cannot be asked from here, though the server may reach it. */
const UNREACHABLE = /^KILN_REGISTRY_(?:UNREACHABLE|TIMEOUT|TLS)$/;

/**
 * Answers for logins at registries. The server gets tokens, which are got here, with the login of
 * the caller. It is not believed where tokens are got: the registry is asked itself, so that a
 * server cannot have a login sent elsewhere. The login goes to the server only for a registry that
 * takes no tokens, or that cannot be reached from here. (BuildKit would share it in any case.)
 */
export function lentLogins(
  loans: Pick<Loans, 'registry'>,
  scope: AsyncDisposableStack,
): InnerMethods {
  let opened: Promise<RegistryClient> | undefined;
  const client = () =>
    (opened ??= loans
      .registry()
      .then((options) => scope.use(new RegistryClient({ ...options, retry: { attempts: 2 } }))));
  const known = new Map<string, Promise<RegistryKind>>();
  const kindOf = (host: string) => {
    let kind = known.get(host);
    if (!kind) known.set(host, (kind = client().then((asked) => askKind(asked, domainOf(host)))));
    return kind;
  };
  // The server tells by the key whether two sessions have the same logins. Each has its own here.
  const key = generateKeyPairSync('ed25519');
  const publicKey = Buffer.from(key.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return new Map([
    unaryAnswer(Auth.method.getTokenAuthority, async ({ host }) => {
      if ((await kindOf(host)) === 'unreachable')
        throw new ConnectError(`${host} cannot be reached by the client`, Code.Unavailable);
      return { publicKey };
    }),
    unaryAnswer(Auth.method.verifyTokenAuthority, async ({ payload }) => ({
      signed: Buffer.concat([sign(null, payload, key.privateKey), payload]),
    })),
    unaryAnswer(Auth.method.fetchToken, async ({ host, scopes }, { signal }) => {
      const header = await (await client()).authorization(domainOf(host), scopes, signal);
      const [, token] = /^Bearer (.+)$/.exec(header ?? '') ?? [];
      if (token === undefined)
        throw new ConnectError(`${host} gives no tokens`, Code.FailedPrecondition);
      const now = BigInt(Math.floor(Date.now() / 1000));
      return { token, expiresIn: BigInt(LIFETIME), issuedAt: now };
    }),
    unaryAnswer(Auth.method.credentials, async ({ host }, { signal }) => {
      const { credentials } = await loans.registry();
      const login = await credentials?.(domainOf(host), signal);
      if (login?.kind !== 'basic' && login?.kind !== 'identity') return {};
      if ((await kindOf(host)) === 'tokens')
        throw new ConnectError(`tokens for ${host} are got by the client`, Code.NotFound);
      return login.kind === 'identity'
        ? { secret: login.token }
        : { username: login.username, secret: login.password };
    }),
  ]);
}

type RegistryKind = 'tokens' | 'no tokens' | 'unreachable';

/** Asks a registry whether it takes tokens. One that refuses the login has said so by that. */
async function askKind(client: RegistryClient, domain: string): Promise<RegistryKind> {
  try {
    const signal = AbortSignal.timeout(ASKING_MS);
    const header = await client.authorization(domain, [], signal);
    return header?.startsWith('Bearer ') ? 'tokens' : 'no tokens';
  } catch (error) {
    const isAway = !(error instanceof KilnError) || UNREACHABLE.test(error.code);
    return isAway ? 'unreachable' : 'tokens';
  }
}

function domainOf(host: string): string {
  return host === HUB_HOST ? 'docker.io' : host;
}
