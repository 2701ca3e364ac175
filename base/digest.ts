import { createHash } from 'node:crypto';

/** A content digest in the OCI form `sha256:<64 lower-case hex>` (image-spec, descriptor.md#digests). */
export type Digest = `sha256:${string}` & { readonly __digest: unique symbol };

const FORM = /^sha256:[0-9a-f]{64}$/;

export function isDigest(text: string): text is Digest {
  return FORM.test(text);
}

/** Brands `text`; throws RangeError when it is no sha256 digest. For text from outside, test with `isDigest` first. */
export function asDigest(text: string): Digest {
  if (!isDigest(text)) throw new RangeError(`not a sha256 digest: ${JSON.stringify(text)}`);
  return text;
}

/** The digest of `bytes` (a string counts as UTF-8). */
export function digestOf(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** The 64 hex characters, for use as a file name. */
export function hexOf(digest: Digest): string {
  return digest.slice(7);
}

/** The digest of a list of parts, each framed by its length, so that no two different lists give the same bytes. */
export function digestOfParts(parts: Iterable<string | Uint8Array>): Digest {
  const hash = createHash('sha256');
  for (const part of parts) {
    hash.update(`${typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength}:`);
    hash.update(part);
  }
  return `sha256:${hash.digest('hex')}` as Digest;
}
