import { createHash } from 'node:crypto';
import { threadId } from 'node:worker_threads';
import { KilnError } from '../../base/errors.ts';
import type { AnyJob, Job } from './job.ts';

/** Jobs for pool.test.ts. */
export const whereJob: Job<null, number> = { name: 'where', run: () => threadId };
export const hashJob: Job<Uint8Array, string> = {
  name: 'hash',
  run: (bytes) => createHash('sha256').update(bytes).digest('hex'),
};
export const failJob: Job<'kiln' | 'plain', never> = {
  name: 'fail',
  run(kind) {
    if (kind === 'plain') throw Object.assign(new TypeError('no such thing'), { code: 'ENOENT' });
    throw new KilnError('KILN_LAYER_LIMIT', 'too much', {
      place: { kind: 'flag', flag: '--x' },
      hint: 'less',
      exitCode: 7,
      notes: ['a', 'b'],
    });
  },
};
/** Sets the first number and then runs until it is cancelled. */
export const endlessJob: Job<Int32Array<SharedArrayBuffer>, never> = {
  name: 'endless',
  run(started, { check }) {
    Atomics.store(started, 0, 1);
    Atomics.notify(started, 0);
    for (;;) check();
  },
};
/** Counts bytes, then waits until its caller has been told of them. */
export const countJob: Job<Int32Array<SharedArrayBuffer>, void> = {
  name: 'count',
  run(told, { moved }) {
    for (let part = 0; part < 3; part++) moved?.(1000);
    Atomics.wait(told, 0, 0, 20_000);
    moved?.(500);
  },
};
export const dieJob: Job<null, never> = {
  name: 'die',
  run: () => process.exit(3),
};
/** Waits until all `flags` of its fellow jobs are set, which only jobs that run at once can do. */
export const meetJob: Job<
  { readonly flags: Int32Array<SharedArrayBuffer>; readonly mine: number },
  boolean
> = {
  name: 'meet',
  run({ flags, mine }) {
    Atomics.store(flags, mine, 1);
    Atomics.notify(flags, mine);
    for (let other = 0; other < flags.length; other++)
      if (Atomics.wait(flags, other, 0, 20_000) === 'timed-out') return false;
    return true;
  },
};

export const fixtureJobs: readonly AnyJob[] = [
  whereJob,
  hashJob,
  failJob,
  endlessJob,
  countJob,
  dieJob,
  meetJob,
];
