import type { LentStreams } from '../../executor/executor.ts';

/** This process's own standard streams, for a process that the user talks to. */
export function ownStreams(): LentStreams {
  return { descriptors: [0, 1, 2], terminal: process.stdin.isTTY === true };
}
