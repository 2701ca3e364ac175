import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The bytes of used buffers after which they are collected. */
const STEP = 4 << 20;

export type CollectGarbage = (options?: { readonly type: 'minor' }) => void;

let collect: CollectGarbage | undefined;
let bytes = 0;

/**
 * Counts bytes of buffers outside V8's heap that nobody uses any more, and has V8 collect them from
 * time to time. V8 sees only the small objects that stand for them, and would let some 64 MB come
 * together. A collection of the young generation takes about a millisecond. For the main thread
 * only: see `openCollector`.
 */
export function countGarbage(more: number): void {
  bytes += more;
  if (bytes < STEP) return;
  bytes = 0;
  collect ??= openCollector();
  collect({ type: 'minor' });
}

/**
 * V8's garbage collection: of the whole heap, or only of its young generation. It is found in a
 * context that is made under a flag. The flag is of the whole process, so two threads must not ask
 * at once. It is taken back, because V8 refuses compiled code that was kept under other flags.
 */
export function openCollector(): CollectGarbage {
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as CollectGarbage;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}
