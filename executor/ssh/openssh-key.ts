import type { JsonWebKey } from 'node:crypto';
import { SshFormatError, SshReader } from './wire.ts';

const MAGIC = 'openssh-key-v1\0';
const CURVES: Readonly<Record<string, { readonly crv: string; readonly size: number }>> = {
  nistp256: { crv: 'P-256', size: 32 },
  nistp384: { crv: 'P-384', size: 48 },
  nistp521: { crv: 'P-521', size: 66 },
};

/**
 * Parses a key in OpenSSH's container (PROTOCOL.key of OpenSSH) as a JSON Web Key, or answers that
 * it is encrypted. Throws SshFormatError.
 */
export function openSshKey(
  bytes: Buffer,
): { readonly key: JsonWebKey; readonly comment: string } | 'encrypted' {
  const outer = new SshReader(bytes);
  if (outer.take(MAGIC.length).toString('latin1') !== MAGIC)
    throw new SshFormatError('it does not begin like an OpenSSH key');
  const cipher = outer.text();
  outer.text();
  outer.string();
  if (outer.uint32() !== 1) throw new SshFormatError('it holds more than one key');
  outer.string();
  if (cipher !== 'none') return 'encrypted';
  const inner = new SshReader(outer.string());
  const check = inner.uint32();
  if (inner.uint32() !== check) throw new SshFormatError('its two check numbers differ');
  const key = jwkOf(inner.text(), inner);
  return { key, comment: inner.text() };
}

function jwkOf(type: string, fields: SshReader): JsonWebKey {
  if (type === 'ssh-ed25519') {
    const x = fields.string();
    // The seed, followed by a copy of the public key.
    return { kty: 'OKP', crv: 'Ed25519', x: base64(x), d: base64(fields.string().subarray(0, 32)) };
  }
  if (type === 'ssh-rsa') return rsa(fields);
  if (type.startsWith('ecdsa-sha2-')) return ecdsa(fields);
  throw new SshFormatError(
    `it is of the kind ${JSON.stringify(type)}; use an ed25519, RSA or ECDSA key`,
  );
}

function rsa(fields: SshReader): JsonWebKey {
  const next = () => unsigned(fields.string());
  const [n, e, d, qi, p, q] = [next(), next(), next(), next(), next(), next()];
  const numbers = { n, e, d, p, q, dp: remainder(d, p), dq: remainder(d, q), qi };
  return {
    kty: 'RSA',
    ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, base64(value)])),
  };
}

/** d modulo prime - 1. The container leaves it out, and a JSON Web Key must have it. */
function remainder(d: Buffer, prime: Buffer): Buffer {
  const order = BigInt(`0x0${prime.toString('hex')}`) - 1n;
  if (order < 1n) throw new SshFormatError('one of its primes is not valid');
  const hex = (BigInt(`0x0${d.toString('hex')}`) % order).toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
}

function ecdsa(fields: SshReader): JsonWebKey {
  const curve = CURVES[fields.text()];
  if (!curve) throw new SshFormatError('its curve is not supported');
  const { crv, size } = curve;
  const point = fields.string();
  if (point[0] !== 4 || point.byteLength !== 1 + 2 * size)
    throw new SshFormatError('its public point is not complete');
  const d = unsigned(fields.string());
  const whole = Buffer.concat([Buffer.alloc(Math.max(0, size - d.byteLength)), d]);
  return {
    kty: 'EC',
    crv,
    x: base64(point.subarray(1, 1 + size)),
    y: base64(point.subarray(1 + size)),
    d: base64(whole),
  };
}

/** Removes the leading zero that keeps a number positive. */
function unsigned(bytes: Buffer): Buffer {
  let at = 0;
  while (at < bytes.byteLength - 1 && bytes[at] === 0) at++;
  return bytes.subarray(at);
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64url');
}
