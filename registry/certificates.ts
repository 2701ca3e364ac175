import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { reasonOf } from '../base/oserror.ts';
import { readRegularFile } from '../base/regular-file.ts';
import type { Keypair } from './hosts.ts';

/** The certificates that a directory holds for one host. */
export interface Certificates {
  readonly ca: readonly string[];
  readonly keypairs: readonly Keypair[];
}

/** Makes the error that says why a file or directory cannot be used. */
export type ErrorMaker = (why: string, cause?: unknown) => Error;

/**
 * Reads a directory like docker's `certs.d/HOST`: every `*.crt` is a CA, every `NAME.cert` is a
 * client certificate with its key in `NAME.key`. Returns undefined when the directory does not
 * exist. Throws the error made by `complain` when a file cannot be used or its partner is missing.
 */
export function readCertificates(
  directory: string,
  complain: ErrorMaker,
): Certificates | undefined {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT' || errnoOf(cause) === 'ENOTDIR') return undefined;
    throw complain(`${directory} cannot be read: ${reasonOf(cause)}`, cause);
  }
  const ending = (suffix: string) => names.filter((name) => name.endsWith(suffix));
  for (const key of ending('.key')) {
    const cert = key.replace(/key$/, 'cert');
    if (!names.includes(cert))
      throw complain(`${join(directory, key)} has no client certificate ${cert} beside it`);
  }
  const pairs = ending('.cert').map((cert) => {
    const key = cert.replace(/cert$/, 'key');
    if (!names.includes(key))
      throw complain(
        `${join(directory, cert)} has no key ${key} beside it; a CA has to end in .crt`,
      );
    return { cert: join(directory, cert), key: join(directory, key) };
  });
  return {
    ca: ending('.crt').map((name) => readPem(join(directory, name), 'CERTIFICATE', complain)),
    keypairs: pairs.map((pair) => readKeypair(pair, complain)),
  };
}

/** Reads a client certificate and its key. */
export function readKeypair(
  files: { readonly cert: string; readonly key: string },
  complain: ErrorMaker,
): Keypair {
  return {
    cert: readPem(files.cert, 'CERTIFICATE', complain),
    key: readPem(files.key, 'PRIVATE KEY', complain),
  };
}

/** The text of a PEM file that holds at least one block of this kind. */
export function readPem(
  file: string,
  kind: 'CERTIFICATE' | 'PRIVATE KEY',
  complain: ErrorMaker,
): string {
  let text: string;
  try {
    text = readRegularFile(file).toString();
  } catch (cause) {
    throw complain(`${file} cannot be read: ${reasonOf(cause)}`, cause);
  }
  // The header of a key may name its kind, such as EC PRIVATE KEY.
  if (!new RegExp(`-----BEGIN (?:[A-Z]+ )?${kind}-----`).test(text)) {
    throw complain(
      `${file} holds no ${kind === 'CERTIFICATE' ? 'certificate' : 'private key'} in PEM form`,
    );
  }
  return text;
}
