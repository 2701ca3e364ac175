import { Worker } from 'node:worker_threads';
import { CancelledError } from '../../base/errors.ts';
import type { Job, OnMoved } from './job.ts';
import { fromFailure, type JobReply, type JobRequest } from './wire.ts';

/** Worker threads that run jobs. Each runs one job at a time, and the others wait in order. */
export interface WorkerPool extends AsyncDisposable {
  readonly threads: number;
  /**
   * Runs `job` on a thread. An aborted job rejects with CancelledError as soon as it has noticed.
   * While it runs, `onMoved` is told how many bytes are done, if the job counts them. A job that
   * waits for something from outside does not count as one of `threads`, so that the others need
   * not wait for that, too.
   */
  run<I, O>(
    job: Job<I, O>,
    input: I,
    signal?: AbortSignal,
    onMoved?: OnMoved,
    kind?: JobKind,
  ): Promise<O>;
  /** Starts threads now, all or so many, for callers that will soon have work for them. */
  warm(threads?: number): void;
  /**
   * Ends the threads that have no job, for a process that goes on and has no work for now. The next
   * job starts one again. Settles when they have ended.
   */
  rest(): Promise<void>;
}

export type JobKind = 'works' | 'waits';

export interface PoolOptions {
  /** The module that calls `serveJobs`. */
  readonly entry: URL;
  readonly threads: number;
  /**
   * Called before each thread starts. What threads inherit from this one must then be set up (a
   * mount namespace).
   */
  readonly prepare?: () => void;
}

/**
 * Runs a job on this thread, for work that is smaller than the 30 ms that a thread takes to start.
 */
export async function runInline<I, O>(job: Job<I, O>, input: I, signal?: AbortSignal): Promise<O> {
  const check = () => {
    if (signal?.aborted) throw new CancelledError(signal.reason);
  };
  check();
  return await job.run(input, { check });
}

/**
 * A pool whose threads start with the first job that needs them. Idle threads do not keep the
 * process alive.
 */
export function createPool(options: PoolOptions): WorkerPool {
  return new Pool(options);
}

/** How often a caller is told what a job has done, in milliseconds. */
const TELL_MS = 100;

interface Task {
  readonly request: JobRequest;
  readonly kind: JobKind;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
}

class Pool implements WorkerPool {
  readonly threads: number;
  readonly #entry: URL;
  readonly #prepare: () => void;
  readonly #all: Thread[] = [];
  readonly #waiting: Task[] = [];
  readonly #ending = new Set<Promise<unknown>>();
  #nextId = 1;
  #closed = false;

  constructor({ entry, threads, prepare }: PoolOptions) {
    this.#entry = entry;
    this.#prepare = prepare ?? (() => {});
    this.threads = threads;
  }

  async run<I, O>(
    job: Job<I, O>,
    input: I,
    signal?: AbortSignal,
    onMoved?: OnMoved,
    kind: JobKind = 'works',
  ): Promise<O> {
    if (signal?.aborted) throw new CancelledError(signal.reason);
    if (this.#closed) throw new Error('the worker pool is closed');
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const cancelled = new Int32Array(new SharedArrayBuffer(4));
    const moved = onMoved && new Float64Array(new SharedArrayBuffer(8));
    const task: Task = {
      request: { id: this.#nextId++, job: job.name, input, cancelled, moved },
      kind,
      resolve,
      reject,
    };
    const abort = () => this.#cancel(task);
    signal?.addEventListener('abort', abort, { once: true });
    this.#waiting.push(task);
    const tell = () => moved?.[0] && onMoved?.(moved[0]);
    const timer = onMoved && setInterval(tell, TELL_MS).unref();
    try {
      this.#assign();
      const output = (await promise) as O;
      tell();
      return output;
    } finally {
      clearInterval(timer);
      signal?.removeEventListener('abort', abort);
    }
  }

  warm(threads = this.threads): void {
    while (!this.#closed && this.#all.length < Math.min(threads, this.threads)) this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const task of this.#waiting.splice(0)) task.reject(new CancelledError());
    for (const thread of [...this.#all]) this.#end(thread);
    await Promise.all(this.#ending);
  }

  async rest(): Promise<void> {
    for (const thread of [...this.#all]) if (!thread.task) this.#end(thread);
    await Promise.all(this.#ending);
  }

  #end(thread: Thread): void {
    this.#all.splice(this.#all.indexOf(thread), 1);
    const ended = thread.worker.terminate().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  /** A waiting task is removed; a running one is told to stop. */
  #cancel(task: Task): void {
    const at = this.#waiting.indexOf(task);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      task.reject(new CancelledError());
    } else Atomics.store(task.request.cancelled, 0, 1);
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const thread =
        this.#all.find((candidate) => candidate.task === undefined) ??
        (this.#all.length < this.#most() ? this.#start() : undefined);
      if (!thread) return;
      const task = this.#waiting.shift()!;
      thread.task = task;
      thread.worker.ref();
      thread.worker.postMessage(task.request);
    }
  }

  /** The threads that there may be now. */
  #most(): number {
    return this.threads + this.#all.filter(({ task }) => task?.kind === 'waits').length;
  }

  #start(): Thread {
    this.#prepare();
    const worker = new Worker(this.#entry, {
      // Descriptors are opened and closed through libc, which Node does not track.
      trackUnmanagedFds: false,
      resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 4 },
    });
    const thread: Thread = { worker, task: undefined };
    this.#all.push(thread);
    worker.unref();
    worker.on('message', (reply: JobReply) => this.#done(thread, reply));
    worker.on('error', (error) =>
      this.#lost(thread, error instanceof Error ? error : new Error(String(error))),
    );
    worker.on('exit', () => this.#lost(thread, new Error('a worker thread ended')));
    return thread;
  }

  #done(thread: Thread, reply: JobReply): void {
    const { task } = thread;
    thread.task = undefined;
    // Waiting for the thread's end may be the last thing that keeps the event loop alive.
    if (!this.#closed) thread.worker.unref();
    if (task)
      'failure' in reply ? task.reject(fromFailure(reply.failure)) : task.resolve(reply.output);
    if (!this.#closed) this.#assign();
  }

  /** A thread that died fails its own task only. */
  #lost(thread: Thread, error: Error): void {
    const at = this.#all.indexOf(thread);
    if (at >= 0) this.#all.splice(at, 1);
    thread.task?.reject(error);
    thread.task = undefined;
    if (!this.#closed) this.#assign();
  }
}
