import { type Digest, digestOf } from './digest.ts';

/** What somebody asked for by digest. `size` where a descriptor says it. */
export interface Asked {
  readonly digest: Digest;
  readonly size?: number | undefined;
}

/**
 * The one decision about a digest: why what came is not what was asked for, or undefined when it is. Every door through which named
 * bytes come in or go out asks here: registries and mirrors, layouts, archives, streams, the content store. `came` is
 * what the bytes hash to; a digest that the sender merely states can refuse an answer, and never makes one right.
 */
export function brokenPromise(asked: Asked, came: Asked): string | undefined {
  if (came.digest !== asked.digest) return `the digest is ${came.digest} instead of ${asked.digest}`;
  if (asked.size !== undefined && came.size !== undefined && came.size !== asked.size)
    return `${asked.digest} has ${came.size} bytes instead of ${asked.size}`;
  return undefined;
}

/** The same for bytes at hand. */
export function brokenBytes(asked: Asked, bytes: Uint8Array): string | undefined {
  // The length is compared first: nothing is hashed that is wrong already.
  if (asked.size !== undefined && asked.size !== bytes.byteLength)
    return `${asked.digest} has ${bytes.byteLength} bytes instead of ${asked.size}`;
  return brokenPromise(asked, { digest: digestOf(bytes) });
}
