import { generateKeyPairSync, sign } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { type InnerMethods, unaryAnswer } from '../../api/grpc/inner-server.ts';
import { Auth } from '../../api/proto/auth.gen.ts';
import { messageOf } from '../../base/errors.ts';
import { RegistryClient } from '../../registry/client.ts';
import type { Loans } from './loans.ts';

/** The registry itself may have given the token some time ago. Seconds. */
const LIFETIME = 60;
const HUB_HOST = 'registry-1.docker.io';

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
    (opened ??= loans.registry().then((options) => scope.use(new RegistryClient(options))));
  // The server tells by the key whether two sessions have the same logins. Each has its own here.
  const key = generateKeyPairSync('ed25519');
  const publicKey = Buffer.from(key.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const authorization = async (host: string, scopes: readonly string[], signal: AbortSignal) =>
    await (await client()).authorization(domainOf(host), scopes, signal);
  return new Map([
    unaryAnswer(Auth.method.getTokenAuthority, async () => ({ publicKey })),
    unaryAnswer(Auth.method.verifyTokenAuthority, async ({ payload }) => ({
      signed: Buffer.concat([sign(null, payload, key.privateKey), payload]),
    })),
    unaryAnswer(Auth.method.fetchToken, async ({ host, scopes }, { signal }) => {
      const header = await authorization(host, scopes, signal);
      const [, token] = /^Bearer (.+)$/.exec(header ?? '') ?? [];
      if (token === undefined)
        throw new ConnectError(`${host} gives no tokens`, Code.FailedPrecondition);
      return {
        token,
        expiresIn: BigInt(LIFETIME),
        issuedAt: BigInt(Math.floor(Date.now() / 1000)),
      };
    }),
    unaryAnswer(Auth.method.credentials, async ({ host }, { signal }) => {
      const { credentials } = await loans.registry();
      const login = await credentials?.(domainOf(host), signal);
      if (login?.kind !== 'basic' && login?.kind !== 'identity') return {};
      const wanted = await authorization(host, [], signal).catch((error) => messageOf(error));
      if (wanted?.startsWith('Bearer '))
        throw new ConnectError(`tokens for ${host} are got by the client`, Code.NotFound);
      return login.kind === 'identity'
        ? { secret: login.token }
        : { username: login.username, secret: login.password };
    }),
  ]);
}

function domainOf(host: string): string {
  return host === HUB_HOST ? 'docker.io' : host;
}
