import { randomBytes } from 'node:crypto';
import type { JsMsg } from '@nats-io/jetstream';
import type { BuildServices } from '../../api/build-services.ts';
import type { Platform } from '../../base/platform.ts';
import { formatPlatform } from '../../base/platform.ts';
import { ACK_WAIT_MS, consumerOf, type OpenNats } from '../nats/open-nats.ts';
import {
  type Addressee,
  type JobMessage,
  jobSubject,
  messageBytes,
  PROTOCOL,
  parseMessage,
  WORK_STREAM,
  type WorkerPresence,
} from '../protocol.ts';
import { serveJob } from './serve-job.ts';
import { JobSlots } from './slots.ts';

export interface TakingOptions {
  readonly nats: OpenNats;
  readonly services: BuildServices;
  /** One word. No two workers have the same name. */
  readonly name: string;
  readonly version: string;
  readonly platforms: readonly Platform[];
  readonly labels: readonly string[];
  readonly isTrusted: boolean;
  readonly slots: number;
  /** Says why no job is to be taken now, such as a full disk. */
  readonly hindrance: () => string | undefined;
  /** Told of what happens, in sentences. */
  readonly say: (sentence: string) => void;
  readonly tell: (error: unknown) => void;
}

/** How long one request for jobs waits at the server, in milliseconds. */
const PULL_MS = 5_000;
const PRESENCE_EVERY_MS = 4_000;
/** How often a worker tells that it still does a job, in milliseconds. */
const PROGRESS_MS = ACK_WAIT_MS / 3;
/** A job that cannot be taken after all is given back for so long, in milliseconds. */
const GIVE_BACK_MS = 250;

/**
 * # A worker: takes jobs from NATS until the signal aborts
 *
 * JetStream decides who gets a job: all workers of a platform and label pull from one consumer. A
 * worker pulls when it has a free place. While it does a job it says so; a job whose worker says
 * nothing is given to another. Resolves when every job has ended.
 */
export async function takeWork(options: TakingOptions, signal: AbortSignal): Promise<void> {
  const taking = new Taking(options, signal);
  await taking.run();
}

class Taking {
  readonly #options: TakingOptions;
  readonly #signal: AbortSignal;
  readonly #slots: JobSlots;
  /** The jobs that are being done, with the last message that brought each. */
  readonly #jobs = new Map<string, { message: JsMsg }>();
  readonly #running = new Set<Promise<void>>();

  constructor(options: TakingOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#slots = new JobSlots(options.slots);
  }

  async run(): Promise<void> {
    const { nats, name } = this.#options;
    const present = setInterval(() => void this.#tellPresence(), PRESENCE_EVERY_MS);
    try {
      await this.#tellPresence();
      await Promise.all(this.#subjects().map((subject) => this.#takeFrom(subject)));
      await Promise.all(this.#running);
    } finally {
      clearInterval(present);
      await nats.workers.delete(name).catch(() => {});
    }
  }

  #subjects(): readonly string[] {
    const { name, platforms, labels, isTrusted } = this.#options;
    const to: Addressee[] = [
      { kind: 'one', worker: name },
      ...platforms.flatMap((platform) =>
        [undefined, ...labels].map((label) => ({ kind: 'any', platform, label }) as const),
      ),
    ];
    return to.flatMap((one) => [
      jobSubject(one, false),
      ...(isTrusted ? [jobSubject(one, true)] : []),
    ]);
  }

  async #tellPresence(): Promise<void> {
    const { nats, name, version, platforms, labels, isTrusted, slots, hindrance } = this.#options;
    const presence: WorkerPresence = {
      protocol: PROTOCOL,
      version,
      worker: name,
      platforms: platforms.map(formatPlatform),
      labels,
      isTrusted,
      slots,
      running: this.#slots.taken,
    };
    try {
      // Builds do not count on one that takes nothing.
      if (hindrance() !== undefined) await nats.workers.delete(name);
      else await nats.workers.put(name, messageBytes(presence));
    } catch {
      // NATS is away. The connection finds its way back, and the next time comes.
    }
  }

  async #takeFrom(subject: string): Promise<void> {
    const { nats, hindrance, tell } = this.#options;
    while (!this.#signal.aborted) {
      await this.#slots.free(this.#signal);
      if (this.#signal.aborted) return;
      if (hindrance() !== undefined) {
        await pause(PULL_MS, this.#signal);
        continue;
      }
      try {
        const consumer = await nats.stream.consumers.get(
          WORK_STREAM,
          await consumerOf(nats.manager, subject),
        );
        await this.#pull(consumer);
      } catch (error) {
        if (this.#signal.aborted) return;
        // NATS is away, or has lost the consumer.
        if (!(error instanceof Error)) tell(error);
        await pause(GIVE_BACK_MS, this.#signal);
      }
    }
  }

  /** Pulls jobs one by one, until NATS fails or no job may be taken. */
  async #pull(consumer: { next: (o: { expires: number }) => Promise<JsMsg | null> }) {
    while (!this.#signal.aborted && this.#options.hindrance() === undefined) {
      await this.#slots.free(this.#signal);
      if (this.#signal.aborted) return;
      const message = await consumer.next({ expires: PULL_MS });
      if (message) this.#take(message);
    }
  }

  #take(message: JsMsg): void {
    const job = parseMessage<JobMessage>(message.data, ['id', 'publicKey']);
    const known = job && this.#jobs.get(job.id);
    // It came again because NATS has not heard of this worker for some time.
    if (known) known.message = message;
    else if (job?.protocol !== PROTOCOL) message.term('a version that this worker does not know');
    // Another subject had a job at the same moment.
    else if (this.#signal.aborted || !this.#slots.tryTake()) message.nak(GIVE_BACK_MS);
    else {
      const doing = this.#do(job, message).finally(() => {
        this.#running.delete(doing);
        this.#slots.give();
        void this.#tellPresence();
      });
      this.#running.add(doing);
    }
  }

  async #do(job: JobMessage, first: JsMsg): Promise<void> {
    const { nats, services, name, version, hindrance, say, tell } = this.#options;
    const held = { message: first };
    this.#jobs.set(job.id, held);
    const progress = setInterval(() => held.message.working(), PROGRESS_MS);
    void this.#tellPresence();
    say(`job ${job.id} begins`);
    try {
      const link = randomBytes(16).toString('hex');
      const by = { connection: nats.connection, services, worker: name, version, tell, hindrance };
      const end = await serveJob(job, link, by, this.#signal);
      if (end === 'over') held.message.ack();
      else held.message.nak(end === 'broken' && hindrance() === undefined ? 0 : GIVE_BACK_MS);
      say(`job ${job.id} ${WORDS[end]}`);
    } catch (error) {
      tell(error);
      held.message.nak(GIVE_BACK_MS);
    } finally {
      clearInterval(progress);
      this.#jobs.delete(job.id);
    }
  }
}

const WORDS = {
  over: 'is over',
  unwelcome: 'is for another worker',
  broken: 'has lost its build, and is given back',
} as const;

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
