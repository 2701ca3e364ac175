import { parentPort } from 'node:worker_threads';
import { CancelledError } from '../../base/errors.ts';
import type { AnyJob, Job } from './job.ts';
import { type JobReply, type JobRequest, toFailure } from './wire.ts';

/** Makes this worker thread run the jobs that its pool sends. */
export function serveJobs(jobs: readonly AnyJob[]): void {
  const byName = new Map(jobs.map((job) => [job.name, job as unknown as Job<unknown, unknown>]));
  const port = parentPort;
  if (!port) throw new Error('serveJobs() belongs in a worker thread');
  port.on('message', async (request: JobRequest) => {
    port.postMessage(await answer(byName, request));
  });
}

async function answer(
  jobs: ReadonlyMap<string, Job<unknown, unknown>>,
  { id, job: name, input, cancelled, moved }: JobRequest,
): Promise<JobReply> {
  try {
    const job = jobs.get(name);
    if (!job) throw new Error(`the worker job ${name} does not exist`);
    const check = () => {
      if (Atomics.load(cancelled, 0) === 1) throw new CancelledError();
    };
    check();
    const count = moved && ((bytes: number) => void (moved[0]! += bytes));
    return { id, output: await job.run(input, { check, moved: count }) };
  } catch (error) {
    return { id, failure: toFailure(error) };
  }
}
