import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
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
  // The client passes on what tls.connect() takes.
  const tls = {
    ...(ca !== undefined && { ca: text('the CA of NATS', ca) }),
    ...(cert !== undefined && { cert: text('the certificate for NATS', cert) }),
    ...(key !== undefined && { key: text('the key for NATS', key) }),
    checkServerIdentity: (host: string, certificate: PeerCertificate) =>
      identityError(host, certificate, address),
  };
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
    ...(address.isTls && { tls }),
  };
}

/**
 * Why a certificate is not that of the server. For a server that is named by its IP address, the
 * client of NATS names none, and Node takes `localhost` for that: the addresses count then.
 */
function identityError(
  host: string,
  certificate: PeerCertificate,
  { servers }: Pick<NatsAddress, 'servers'>,
): Error | undefined {
  const error = checkServerIdentity(host, certificate);
  if (!error || host !== 'localhost') return error;
  const addresses = servers
    .map((server) => server.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
    .filter((name) => isIP(name) !== 0);
  const errors = addresses.map((address) => checkServerIdentity(address, certificate));
  return errors.includes(undefined) ? undefined : (errors[0] ?? error);
}
