import { createHash } from 'node:crypto';

/**
 * A content digest in the OCI form `sha256:<64 lower-case hex>` (image-spec,
 * descriptor.md#digests).
 */
export type Digest = `sha256:${string}` & { readonly __digest: unique symbol };

const FORM = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): text is Digest {
  return FORM.test(text);
}

/**
 * Brands `text` as a digest. Throws RangeError when it is not a sha256 digest. Check text from
 * outside with `isDigest` first.
 */
export function asDigest(text: string): Digest {
  if (!isDigest(text)) throw new RangeError(`not a sha256 digest: ${JSON.stringify(text)}`);
  return text;
}

/** The digest of `bytes`. A string is hashed as UTF-8. */
export function digestOf(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** The 64 hex characters, for use as a file name. */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/**
 * The digest of a list of parts. The length of each part is hashed before it, so that two different
 * lists never hash the same bytes.
 */
export function digestOfParts(parts: Iterable<string | Uint8Array>): Digest {
  const hash = createHash('sha256');
  for (const part of parts) {
    hash.update(`${typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength}:`);
    hash.update(part);
  }
  return `sha256:${hash.digest('hex')}` as Digest;
}
