import { type Digest, digestOf } from './digest.ts';

/** What is known of some content. `size`, in bytes, is set when a descriptor states it. */
export interface ContentIdentity {
  readonly digest: Digest;
  readonly size?: number | undefined;
}

/**
 * Compares the content that arrived with the content that was asked for. The result is undefined
 * when they agree, and otherwise the difference. All content that is named by digest is checked
 * here wherever it comes in or goes out: registries and mirrors, layouts, archives, streams, the
 * content store. `actual` is computed from the bytes. A digest that the sender only states may be a
 * reason to refuse an answer, but never to accept one.
 */
export function contentMismatch(
  expected: ContentIdentity,
  actual: ContentIdentity,
): string | undefined {
  if (actual.digest !== expected.digest)
    return `the digest is ${actual.digest} instead of ${expected.digest}`;
  if (expected.size !== undefined && actual.size !== undefined && actual.size !== expected.size)
    return `${expected.digest} has ${actual.size} bytes instead of ${expected.size}`;
  return undefined;
}

/** The same check for bytes in memory. */
export function bytesMismatch(expected: ContentIdentity, bytes: Uint8Array): string | undefined {
  // The length is compared first, so that bytes of the wrong length are never hashed.
  if (expected.size !== undefined && expected.size !== bytes.byteLength)
    return `${expected.digest} has ${bytes.byteLength} bytes instead of ${expected.size}`;
  return contentMismatch(expected, { digest: digestOf(bytes) });
}
