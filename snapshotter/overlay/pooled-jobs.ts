import { lstatSync } from 'node:fs';
import { assembleJob, gatherJob } from '../copying/jobs.ts';
import { variantOf } from '../layer/encoder.ts';
import { convertJob, describeJob, packJob, replayJob, unpackJob } from '../layer/jobs.ts';
import { statsBelow } from '../sys/treepaths.ts';
import type { Job, OnMoved } from '../workers/job.ts';
import { runInline, type WorkerPool } from '../workers/pool.ts';
import type { LayerJobs } from './jobs.ts';

/** A job within these limits is done before a thread would have started (30 ms). */
const SMALL_ENTRIES = 200;
const SMALL_BYTES = 8 << 20;
const SMALL_BLOB = 1 << 20;

/** Does layer work on worker threads, and small jobs at once on this thread. */
export function pooledJobs(pool: WorkerPool): LayerJobs {
  const run = <I, O>(
    small: boolean,
    job: Job<I, O>,
    input: I,
    signal?: AbortSignal,
    moved?: OnMoved,
  ) => (small ? runInline(job, input, signal) : pool.run(job, input, signal, moved));
  return {
    describe: (layer, signal, moved) =>
      run(isSmall(layer.files), describeJob, layer, signal, moved),
    unpack: ({ blob, diffId, files, root, marks, arriving }, signal, moved) => {
      const input = { blob, diffId, files, root, marks, arriving };
      if (arriving) return pool.run(unpackJob, input, signal, moved, 'waits');
      return run(lstatSync(blob).size <= SMALL_BLOB, unpackJob, input, signal, moved);
    },
    pack: (layer, to, wanted, signal, written, moved) =>
      run(isSmall(layer.files), packJob, { ...layer, to, wanted, written }, signal, moved),
    convert: (blob, _mediaType, to, wanted, signal, written, moved) => {
      const isSmallBlob = lstatSync(blob).size <= SMALL_BLOB;
      return run(isSmallBlob, convertJob, { blob, to, wanted, written }, signal, moved);
    },
    replay: (layers, root, signal) =>
      run(layers.every(isSmall), replayJob, { layers, root }, signal),
    assemble: (input, signal) => run(input.layers.every(isSmall), assembleJob, input, signal),
    gather: (input, signal) => run(false, gatherJob, input, signal),
    variant: variantOf,
  };
}

/** Does layer work on this thread. */
export function inlineJobs(): LayerJobs {
  return pooledJobs({
    threads: 0,
    run: runInline,
    warm: () => undefined,
    rest: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  });
}

/**
 * True for a small directory. It stops looking once the limits are exceeded. It reads only names
 * and sizes, and follows no link.
 */
function isSmall(files: string): boolean {
  let entries = -1;
  let bytes = 0;
  let unread = false;
  for (const stat of statsBelow(files, () => (unread = true))) {
    if (stat.isFile()) bytes += stat.size;
    // An unreadable entry is reported by the job itself.
    if (++entries > SMALL_ENTRIES || bytes > SMALL_BYTES || unread) return false;
  }
  return true;
}
