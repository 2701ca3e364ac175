import { createSecureContext } from 'node:tls';
import { KilnError, messageOf } from '../../base/errors.ts';
import { type ErrorMaker, readPem } from '../../registry/certificates.ts';

/** Files in PEM form. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** The certificates that must have signed those of clients. Without it, no client needs one. */
  readonly ca?: string | undefined;
}

/** The texts of the files. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
  readonly ca?: string | undefined;
}

/** Reads the files. Throws KILN_SERVER_CONFIG_INVALID when one cannot be used. */
export function readTlsFiles({ cert, key, ca }: TlsFiles): TlsIdentity {
  const complain =
    (path: string): ErrorMaker =>
    (why, cause) =>
      new KilnError('KILN_SERVER_CONFIG_INVALID', `the server cannot use TLS: ${why}`, {
        place: { kind: 'path', path },
        hint: 'give files in PEM form by --tlscert, --tlskey and --tlscacert',
        cause,
      });
  const identity = {
    cert: readPem(cert, 'CERTIFICATE', complain(cert)),
    key: readPem(key, 'PRIVATE KEY', complain(key)),
    ...(ca !== undefined && { ca: readPem(ca, 'CERTIFICATE', complain(ca)) }),
  };
  try {
    createSecureContext(identity);
  } catch (error) {
    throw complain(cert)(`${cert} and ${key} do not go together: ${messageOf(error)}`, error);
  }
  return identity;
}
