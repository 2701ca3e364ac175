import {
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto';

/** The key of each direction of a link. Both sides derive the same. */
export interface LinkKeys {
  readonly toWorker: KeyObject;
  readonly toBuild: KeyObject;
}

/** Half of the keys of a link: lives as long as the job, and is never stored. */
export interface KeyHalf {
  /** To be told to the other side, in base64url. */
  readonly publicKey: string;
  /** The keys of the link with whoever has told this public key. Throws for what is no key. */
  keysWith(publicKey: string, names: LinkNames): LinkKeys;
}

/** What the keys are bound to, beside the two halves. */
export interface LinkNames {
  readonly job: string;
  readonly link: string;
  readonly role: 'build' | 'worker';
}

const KEY_BYTES = 32;

/** Makes a half: X25519, from whose shared secret HKDF makes a key for AES-256 per direction. */
export function makeKeyHalf(): KeyHalf {
  const own = generateKeyPairSync('x25519');
  const publicKey = own.publicKey.export({ format: 'jwk' }).x ?? '';
  return {
    publicKey,
    keysWith(other, { job, link, role }) {
      const theirs = createPublicKey({
        key: { kty: 'OKP', crv: 'X25519', x: other },
        format: 'jwk',
      });
      const shared = diffieHellman({ privateKey: own.privateKey, publicKey: theirs });
      const [build, worker] = role === 'build' ? [publicKey, other] : [other, publicKey];
      const info = ['kiln link 1', job, link, build, worker].join('\0');
      const bytes = Buffer.from(hkdfSync('sha256', shared, '', info, 2 * KEY_BYTES));
      return {
        toWorker: createSecretKey(bytes.subarray(0, KEY_BYTES)),
        toBuild: createSecretKey(bytes.subarray(KEY_BYTES)),
      };
    },
  };
}
