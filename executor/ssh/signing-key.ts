import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { KilnError } from '../../base/errors.ts';
import { openSshKey } from './openssh-key.ts';
import { mpint, SshFormatError, string } from './wire.ts';

/** A private key as an agent uses it. */
export interface SigningKey {
  /** The public key in the format of RFC 4253, section 6.6. */
  readonly blob: Buffer;
  readonly comment: string;
  /**
   * A signature that begins with the name of its algorithm. `flags` are those of the request
   * (draft-ietf-sshm-ssh-agent, section 3.6).
   */
  sign(data: Buffer, flags: number): Buffer;
}

/**
 * Reads a key file: ed25519, RSA or ECDSA, in OpenSSH's own format (PROTOCOL.key) or as PEM
 * (PKCS#1, PKCS#8, SEC 1). `name` is the comment of a key whose format has none. Throws
 * KILN_SSH_KEY, also for a key with a passphrase, because a build cannot ask for it.
 */
export function readSigningKey(file: Buffer, name: string): SigningKey {
  const text = file.toString('latin1');
  const label = /-----BEGIN ([A-Z0-9 ]*)-----/.exec(text)?.[1];
  if (label === undefined || !label.endsWith('PRIVATE KEY')) throw noKey(text);
  if (label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type: 4,ENCRYPTED/m.test(text)) throw encrypted();
  try {
    if (label !== 'OPENSSH PRIVATE KEY') return signingKey(createPrivateKey(file), name);
    const found = openSshKey(
      Buffer.from(/KEY-----([^-]*)-----END/.exec(text)?.[1] ?? '', 'base64'),
    );
    if (found === 'encrypted') throw encrypted();
    return signingKey(createPrivateKey({ key: found.key, format: 'jwk' }), found.comment || name);
  } catch (error) {
    if (error instanceof KilnError) throw error;
    // OpenSSL's message is not shown, because it may quote what it read.
    throw keyError(
      error instanceof SshFormatError
        ? `is damaged: ${error.message}`
        : 'is damaged, or of a kind that is not known',
    );
  }
}

interface Curve {
  readonly name: string;
  readonly hash: string;
}

const CURVES: Readonly<Record<string, Curve>> = {
  prime256v1: { name: 'nistp256', hash: 'sha256' },
  secp384r1: { name: 'nistp384', hash: 'sha384' },
  secp521r1: { name: 'nistp521', hash: 'sha512' },
};

function signingKey(key: KeyObject, comment: string): SigningKey {
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  const part = (name: 'x' | 'y' | 'n' | 'e') => Buffer.from(jwk[name] ?? '', 'base64url');
  if (key.asymmetricKeyType === 'ed25519') {
    const blob = Buffer.concat([string('ssh-ed25519'), string(part('x'))]);
    return { blob, comment, sign: (data) => signature('ssh-ed25519', sign(null, data, key)) };
  }
  if (key.asymmetricKeyType === 'rsa') {
    const blob = Buffer.concat([string('ssh-rsa'), mpint(part('e')), mpint(part('n'))]);
    return { blob, comment, sign: (data, flags) => rsaSignature(key, data, flags) };
  }
  const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (!curve)
    throw keyError(
      `is a key of the kind ${key.asymmetricKeyType}`,
      'use an ed25519, RSA or ECDSA key',
    );
  const type = `ecdsa-sha2-${curve.name}`;
  const point = Buffer.concat([Buffer.from([4]), part('x'), part('y')]);
  const blob = Buffer.concat([string(type), string(curve.name), string(point)]);
  return {
    blob,
    comment,
    sign: (data) =>
      signature(type, pairOf(sign(curve.hash, data, { key, dsaEncoding: 'ieee-p1363' }))),
  };
}

/** RFC 8332. A request without a flag comes from an old client, which expects SHA-1. */
function rsaSignature(key: KeyObject, data: Buffer, flags: number): Buffer {
  if (flags & 4) return signature('rsa-sha2-512', sign('sha512', data, key));
  if (flags & 2) return signature('rsa-sha2-256', sign('sha256', data, key));
  return signature('ssh-rsa', sign('sha1', data, key));
}

/** Encodes the numbers r and s as in RFC 5656, section 3.1.2. */
function pairOf(numbers: Buffer): Buffer {
  const half = numbers.byteLength / 2;
  return Buffer.concat([mpint(numbers.subarray(0, half)), mpint(numbers.subarray(half))]);
}

function signature(type: string, bytes: Buffer): Buffer {
  return Buffer.concat([string(type), string(bytes)]);
}

function noKey(text: string): KilnError {
  if (/^(ssh-|ecdsa-|sk-)|-----BEGIN [A-Z0-9 ]*PUBLIC KEY-----/.test(text))
    return keyError('is a public key', 'name the file of the private key, without .pub');
  if (text.startsWith('PuTTY-'))
    return keyError("is in PuTTY's format", 'convert it: puttygen KEY -O private-openssh -o NEW');
  return keyError('is not a private key', 'name an agent socket, or the file of a private key');
}

function encrypted(): KilnError {
  return keyError(
    'has a passphrase, and a build cannot ask for it',
    'ssh-add it to an agent, and build with --ssh default',
  );
}

function keyError(what: string, hint?: string): KilnError {
  return new KilnError('KILN_SSH_KEY', `the ssh key ${what}`, { hint });
}
