import { type Digest, digestOf } from './digest.ts';

/** The content that was asked for, by digest. `size` is set when a descriptor states it. */
export interface Asked {
  readonly digest: Digest;
  readonly size?: number | undefined;
}

/**
 * Compares the content that arrived with the content that was asked for. The result is undefined
 * when they agree, and otherwise the difference. All content that is named by digest is checked
 * here wherever it comes in or goes out: registries and mirrors, layouts, archives, streams, the
 * content store. `came` is computed from the bytes. A digest that the sender only states may be a
 * reason to refuse an answer, but never to accept one.
 */
export function brokenPromise(asked: Asked, came: Asked): string | undefined {
  if (came.digest !== asked.digest)
    return `the digest is ${came.digest} instead of ${asked.digest}`;
  if (asked.size !== undefined && came.size !== undefined && came.size !== asked.size)
    return `${asked.digest} has ${came.size} bytes instead of ${asked.size}`;
  return undefined;
}

/** The same check for bytes in memory. */
export function brokenBytes(asked: Asked, bytes: Uint8Array): string | undefined {
  // The length is compared first, so that bytes of the wrong length are never hashed.
  if (asked.size !== undefined && asked.size !== bytes.byteLength)
    return `${asked.digest} has ${bytes.byteLength} bytes instead of ${asked.size}`;
  return brokenPromise(asked, { digest: digestOf(bytes) });
}
