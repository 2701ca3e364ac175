import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** The reason why no certificate can be made on this machine, or undefined. */
export function opensslMissing(): string | undefined {
  return spawnSync('openssl', ['version'], { stdio: 'ignore' }).status === 0
    ? undefined
    : 'openssl is not installed';
}

/**
 * Makes a self-signed certificate for 127.0.0.1 and its key in `directory`, as NAME.pem and
 * NAME.key.
 */
export function selfSigned(
  directory: string,
  name: string,
): { readonly certificate: string; readonly key: string } {
  const certificate = join(directory, `${name}.pem`);
  const key = join(directory, `${name}.key`);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '30'];
  const made = spawnSync(
    'openssl',
    ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, ...subject],
    {
      encoding: 'utf8',
    },
  );
  if (made.status !== 0) throw new Error(made.stderr);
  return { certificate, key };
}
