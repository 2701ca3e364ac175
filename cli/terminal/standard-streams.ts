import type { LentStreams } from '../../executor/executor.ts';

/** Returns the standard streams of this process, to lend them to an interactive process. */
export function standardStreams(): LentStreams {
  return { descriptors: [0, 1, 2], terminal: process.stdin.isTTY === true };
}
