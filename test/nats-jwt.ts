import { createHash } from 'node:crypto';
import { nkeys } from '@nats-io/transport-node';

type Claims = Readonly<Record<string, unknown>>;

/** An operator, an account with JetStream and a user of it, as `nsc` makes them. */
export interface JwtUser {
  /** The lines of nats-server's configuration that trust the operator. */
  readonly config: string;
  /** The text of the file of credentials. */
  readonly creds: string;
}

/** Makes an operator that trusts an account, and the credentials of a user of that. */
export function jwtUser(): JwtUser {
  const [operator, user] = [nkeys.createOperator(), nkeys.createUser()];
  // JetStream wants an account for the server itself.
  const [system, account] = [nkeys.createAccount(), nkeys.createAccount()];
  const connections = { imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const messages = { subs: -1, data: -1, payload: -1 };
  const streams = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const operatorJwt = signed(operator, operator, { type: 'operator', version: 2 });
  const accountJwt = (of: nkeys.KeyPair, more: Claims) =>
    signed(operator, of, {
      ...{ type: 'account', version: 2, limits: { ...connections, ...messages, ...more } },
      default_permissions: { pub: {}, sub: {} },
    });
  const accounts = [
    `${system.getPublicKey()}: ${accountJwt(system, {})}`,
    `${account.getPublicKey()}: ${accountJwt(account, streams)}`,
  ];
  const userJwt = signed(account, user, {
    ...{ type: 'user', version: 2, pub: {}, sub: {} },
    ...messages,
  });
  const seed = Buffer.from(user.getSeed()).toString();
  return {
    config:
      `operator: ${operatorJwt}\nsystem_account: ${system.getPublicKey()}\n` +
      `resolver: MEMORY\nresolver_preload: { ${accounts.join(', ')} }\n`,
    creds:
      `-----BEGIN NATS USER JWT-----\n${userJwt}\n------END NATS USER JWT------\n\n` +
      `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
  };
}

/** A user that is known to the server by its public key alone. */
export function nkeyUser(): { readonly publicKey: string; readonly seed: string } {
  const user = nkeys.createUser();
  return { publicKey: user.getPublicKey(), seed: Buffer.from(user.getSeed()).toString() };
}

/** A token by which `issuer` says something of `subject`. */
function signed(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, nats: Claims): string {
  const claims = {
    iat: Math.floor(Date.now() / 1000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name: String(nats['type']),
    nats,
  };
  const jti = createHash('sha256').update(JSON.stringify(claims)).digest('hex');
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = part({ typ: 'JWT', alg: 'ed25519-nkey' });
  const body = `${head}.${part({ jti, ...claims })}`;
  return `${body}.${Buffer.from(issuer.sign(Buffer.from(body))).toString('base64url')}`;
}
