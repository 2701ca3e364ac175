import { readFileSync } from 'node:fs';
import {
  credsAuthenticator,
  type NodeConnectionOptions,
  nkeyAuthenticator,
} from '@nats-io/transport-node';
import { attempt, reading } from '../../base/oserror.ts';
import type { NatsAddress } from './nats-address.ts';

/** The options of the client of NATS. Reads the files that the address names. */
export function natsOptions(address: NatsAddress): NodeConnectionOptions {
  const { creds, nkey, ca, cert, key, user, password, token } = address;
  const bytes = (what: string, path: string) =>
    attempt(reading(what, path), () => readFileSync(path));
  const text = (what: string, path: string) => bytes(what, path).toString();
  return {
    servers: [...address.servers],
    ...(user !== undefined && { user, pass: password ?? '' }),
    ...(token !== undefined && { token }),
    ...(creds !== undefined && {
      authenticator: credsAuthenticator(bytes('the credentials of NATS', creds)),
    }),
    ...(nkey !== undefined && {
      authenticator: nkeyAuthenticator(Buffer.from(text('the seed of NATS', nkey).trim())),
    }),
    ...(address.isTls && {
      tls: {
        ...(ca !== undefined && { ca: text('the CA of NATS', ca) }),
        ...(cert !== undefined && { cert: text('the certificate for NATS', cert) }),
        ...(key !== undefined && { key: text('the key for NATS', key) }),
      },
    }),
  };
}
