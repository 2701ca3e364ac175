import { statfsSync } from 'node:fs';

/** With less room than this, a worker takes no jobs. Bytes. */
const MIN_FREE = 256 << 20;

/**
 * Returns a function that says why no job is to be taken now: the disk of the store is full. `say`
 * is told when that begins.
 */
export function diskHindrance(
  root: string,
  say: (sentence: string) => void,
): () => string | undefined {
  let isTold = false;
  return () => {
    const { bavail, bsize } = statfsSync(root);
    if (bavail * bsize >= MIN_FREE) {
      isTold = false;
      return undefined;
    }
    const sentence = `the disk that holds ${root} is full: no work is taken`;
    if (!isTold) say(sentence);
    isTold = true;
    return sentence;
  };
}
