import { randomBytes } from 'node:crypto';
import { openInnerClient } from '../../api/grpc/inner-client.ts';
import { CancelledError } from '../../base/errors.ts';
import { orAborted } from '../../base/or-aborted.ts';
import { formatPlatform } from '../../base/platform.ts';
import type { OpenServer } from '../../remote/open-server.ts';
import { answered } from '../nats/answered.ts';
import { makeKeyHalf } from '../nats/link-keys.ts';
import { ACK_WAIT_MS, type OpenNats } from '../nats/open-nats.ts';
import { SealedLink } from '../nats/sealed-link.ts';
import {
  type Addressee,
  type HelloAnswer,
  type HelloMessage,
  helloSubject,
  isWord,
  type JobMessage,
  jobSubject,
  linkSubjects,
  messageBytes,
  PROTOCOL,
  parseMessage,
  type ResultPlace,
  WORK_STREAM,
  type WorkerPresence,
} from '../protocol.ts';
import { LostWorker, type MachinePool, type UseWorker, type WorkWanted } from './pool.ts';
import { Presences } from './presences.ts';

export interface NatsPoolOptions {
  /** Connects to NATS. It is called once, when the pool is asked for the first time. */
  readonly open: () => Promise<OpenNats>;
  /** Only workers with this label are asked. */
  readonly label: string | undefined;
  readonly warn: (sentence: string) => void;
}

/** A worker that has a free place takes a job within this time, or others may. Milliseconds. */
const NEAR_MS = 1_000;
/** A worker that was lost is replaced within this time, or never. Milliseconds. */
const REPLACED_MS = 2 * ACK_WAIT_MS + 10_000;
/** How often it is looked whether there is still a worker that could take a job. Milliseconds. */
const LOOK_MS = 5_000;
/** A job that a free worker leaves lying for so many looks is taken by nobody. */
const IDLE_LOOKS = 4;
/** A build waits so long for the job of another one to be taken, and looks so often. */
const CLAIM_MS = 5_000;
const LOOK_AGAIN_MS = 50;
/** The same job is begun by so many workers at most. */
const MAX_ATTEMPTS = 3;

/** The workers that take their work from NATS. */
export class NatsPool implements MachinePool {
  readonly remembers = true;
  readonly #options: NatsPoolOptions;
  readonly #toldOf = new Set<string>();
  #opened: Promise<OpenNats> | undefined;
  #isOpen = false;
  #presences: Presences | undefined;
  /** How many jobs of this pool each worker has been asked to do, and has not done. */
  readonly #given = new GivenJobs();

  constructor(options: NatsPoolOptions) {
    this.#options = options;
  }

  async #nats(): Promise<OpenNats> {
    const nats = await (this.#opened ??= this.#options.open());
    this.#isOpen = true;
    return nats;
  }

  /** The workers that could take this. */
  async #able({
    platform,
    hasSecrets,
    distrusted,
  }: Omit<WorkWanted, 'key'>): Promise<readonly WorkerPresence[]> {
    const name = formatPlatform(platform);
    const { label } = this.#options;
    const nats = await this.#nats();
    const presences = (this.#presences ??= new Presences(nats));
    return (await answered(() => presences.present())).filter((presence) => {
      const { worker, platforms, labels, isTrusted, protocol } = presence;
      if (protocol !== PROTOCOL) this.#tellVersion(worker, presence);
      return (
        protocol === PROTOCOL &&
        platforms.includes(name) &&
        (label === undefined || labels.includes(label)) &&
        (isTrusted || !hasSecrets) &&
        !distrusted.has(worker)
      );
    });
  }

  #tellVersion(name: string, { protocol, version }: WorkerPresence): void {
    if (this.#toldOf.has(name)) return;
    this.#toldOf.add(name);
    this.#options.warn(
      `worker ${name} is of Kiln ${String(version)} and speaks version ${protocol} of the ` +
        `protocol of workers, and this one version ${PROTOCOL}: it is not asked`,
    );
  }

  async withWorker<T>(
    wanted: WorkWanted,
    signal: AbortSignal,
    use: UseWorker<T>,
  ): Promise<T | undefined> {
    const present = await orAborted(this.#able(wanted), signal);
    if (present.length === 0) return undefined;
    const able = present.map(({ worker }) => worker);
    const { platform } = wanted;
    const has = await orAborted(this.#holderOf(wanted, able, signal), signal);
    if (has !== undefined) {
      const held = await this.#ask({ kind: 'one', worker: has }, wanted, signal, use);
      if (held !== undefined) return held;
    } else {
      const near = await orAborted(this.#nearest(wanted, present), signal);
      using _given = near === undefined ? undefined : this.#given.to(near);
      const to = near === undefined ? undefined : ({ kind: 'one', worker: near } as const);
      const held = to && (await this.#ask(to, wanted, signal, use, NEAR_MS));
      if (held !== undefined) return held;
    }
    const any = { kind: 'any', platform, label: this.#options.label } as const;
    return await this.#ask(any, wanted, signal, use);
  }

  /**
   * Of the workers that have a free place, the one that has most of what the graph reads: it did
   * such work last. A weak name does not count for one that is busier than others. Undefined when
   * none of them has.
   */
  async #nearest(
    { near }: WorkWanted,
    present: readonly WorkerPresence[],
  ): Promise<string | undefined> {
    if (present.length < 2) return undefined;
    const { results } = await this.#nats();
    const names = near.map(async ({ name, isWeak }) => {
      const entry = await answered(() => results.get(nearKey(name)));
      const place = entry && parseMessage<ResultPlace>(entry.value, ['worker']);
      return { worker: place?.worker, isWeak };
    });
    const places = await Promise.all(names);
    // What was given to a worker a moment ago is not in what it tells of itself yet.
    const load = ({ worker, running }: WorkerPresence) =>
      Math.max(running, this.#given.count(worker));
    const least = Math.min(...present.map(load));
    for (const { worker, isWeak } of places) {
      const found = present.find((one) => one.worker === worker);
      if (found && load(found) < found.slots && (!isWeak || load(found) === least))
        return found.worker;
    }
    return undefined;
  }

  async #ask<T>(
    to: Addressee,
    wanted: WorkWanted,
    signal: AbortSignal,
    use: UseWorker<T>,
    patienceMs?: number,
  ): Promise<T | undefined> {
    const job = new Job(await this.#nats(), wanted, signal, async (server, worker, both) => {
      // A job for one worker was counted when that was chosen.
      using _given = to.kind === 'any' ? this.#given.to(worker) : undefined;
      return await use(server, worker, both);
    });
    let idle = 0;
    const lookAt = (present: readonly WorkerPresence[]) => {
      const able = present.filter(({ worker }) => to.kind === 'any' || worker === to.worker);
      const isIdle = !job.isTaken && able.some(({ running, slots }) => running < slots);
      idle = isIdle ? idle + 1 : 0;
      if (able.length === 0) job.giveUp();
      else if (idle >= IDLE_LOOKS)
        job.fail(new Error('no worker takes the job, though one is free'));
    };
    const look = setInterval(() => {
      // NATS may be away for now.
      this.#able(wanted).then(lookAt, () => {});
    }, LOOK_MS);
    const hurry = patienceMs === undefined ? undefined : setTimeout(() => job.giveUp(), patienceMs);
    try {
      await orAborted(job.post(jobSubject(to, wanted.hasSecrets)), signal);
      return await job.ended;
    } finally {
      clearInterval(look);
      clearTimeout(hurry);
      await job[Symbol.asyncDispose]();
    }
  }

  /**
   * The worker that makes, or has made, the result. When nobody has asked for it yet, this build is
   * noted as the one that does; another one waits a little until a worker has taken its job.
   */
  async #holderOf(
    { key }: WorkWanted,
    able: readonly string[],
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { results } = await this.#nats();
    const name = resultKey(key);
    const claim: ResultPlace = { protocol: PROTOCOL, worker: '' };
    for (let waited = 0; waited < CLAIM_MS && !signal.aborted; waited += LOOK_AGAIN_MS) {
      const entry = await answered(() => results.get(name));
      const place = entry && parseMessage<ResultPlace>(entry.value, ['worker']);
      if (place?.protocol !== PROTOCOL) {
        const isFirst = await answered(() => results.create(name, messageBytes(claim))).then(
          () => true,
          () => false,
        );
        // A message that this version cannot read is not replaced, and not waited for.
        if (isFirst || place) return undefined;
      } else if (place.worker !== '') return able.includes(place.worker) ? place.worker : undefined;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#opened?.then(
      (nats) => nats[Symbol.asyncDispose](),
      () => {},
    );
    // A server that is silent is not waited for: the connection is closed when it comes.
    if (this.#isOpen) await closed;
  }
}

/** How many jobs each worker has from here. */
class GivenJobs {
  readonly #counts = new Map<string, number>();

  count(worker: string): number {
    return this.#counts.get(worker) ?? 0;
  }

  /** Counts one more, until the result is disposed. */
  to(worker: string): Disposable {
    this.#counts.set(worker, this.count(worker) + 1);
    return {
      [Symbol.dispose]: () => void this.#counts.set(worker, this.count(worker) - 1),
    };
  }
}

function nearKey(name: string): string {
  return `near-${name.replace(':', '-')}`;
}

function resultKey(key: string): string {
  return key.replace(':', '-');
}

/** One job: from its message in the stream to the answer of a worker. */
class Job<T> implements AsyncDisposable {
  readonly #nats: OpenNats;
  readonly #wanted: WorkWanted;
  readonly #signal: AbortSignal;
  readonly #use: UseWorker<T>;
  readonly #half = makeKeyHalf();
  readonly #id = randomBytes(16).toString('hex');
  readonly #scope = new AsyncDisposableStack();
  readonly #outcome = Promise.withResolvers<T | undefined>();
  /** The worker that has it now. */
  #attempt: { readonly worker: string; readonly over: AbortController } | undefined;
  #attempts = 0;
  #late: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();
  #sequence: number | undefined;
  /** The last worker that had it, when that was lost. */
  #lost: LostWorker | undefined;
  /** True when no worker is welcome any more. */
  #isOver = false;

  constructor(nats: OpenNats, wanted: WorkWanted, signal: AbortSignal, use: UseWorker<T>) {
    this.#nats = nats;
    this.#wanted = wanted;
    this.#signal = signal;
    this.#use = use;
    this.#outcome.promise.catch(() => {});
  }

  get ended(): Promise<T | undefined> {
    return this.#outcome.promise;
  }

  async post(subject: string): Promise<void> {
    const { connection, stream } = this.#nats;
    const cancel = () => this.#outcome.reject(new CancelledError(this.#signal.reason));
    this.#signal.throwIfAborted();
    this.#signal.addEventListener('abort', cancel, { once: true });
    this.#scope.defer(() => this.#signal.removeEventListener('abort', cancel));
    const listening = connection.subscribe(helloSubject(this.#id), {
      callback: (error, message) => {
        if (error) return;
        const hello = parseMessage<HelloMessage>(message.data, ['worker', 'link', 'publicKey']);
        const isWelcome = hello !== undefined && this.#welcome(hello);
        const answer: HelloAnswer = { protocol: PROTOCOL, isWelcome };
        message.respond(messageBytes(answer));
      },
    });
    this.#scope.defer(() => listening.unsubscribe());
    const job: JobMessage = {
      protocol: PROTOCOL,
      id: this.#id,
      publicKey: this.#half.publicKey,
    };
    const { seq } = await answered(() =>
      stream.publish(subject, messageBytes(job), { msgID: this.#id }),
    );
    this.#sequence = seq;
  }

  /** True while a worker has it. */
  get isTaken(): boolean {
    return this.#attempt !== undefined;
  }

  /** Ends the job with an error if no worker has it. */
  fail(error: Error): void {
    if (this.#attempt) return;
    this.#isOver = true;
    this.#outcome.reject(this.#lost ?? error);
  }

  /** Ends the job if no worker has it. */
  giveUp(): void {
    if (this.#attempt) return;
    this.#isOver = true;
    if (this.#lost) this.#outcome.reject(this.#lost);
    else this.#outcome.resolve(undefined);
  }

  #welcome({ protocol, worker, link, publicKey }: HelloMessage): boolean {
    if (this.#isOver || protocol !== PROTOCOL || !isWord(worker) || !isWord(link)) return false;
    if (this.#wanted.distrusted.has(worker) || this.#attempts >= MAX_ATTEMPTS) return false;
    try {
      const keys = this.#half.keysWith(publicKey, { job: this.#id, link, role: 'build' });
      const names = linkSubjects(link);
      const bytes = new SealedLink(this.#nats.connection, {
        own: names.build,
        other: names.worker,
        ownKey: keys.toWorker,
        otherKey: keys.toBuild,
      });
      this.#begin(worker, bytes);
      return true;
    } catch {
      return false;
    }
  }

  #begin(worker: string, bytes: SealedLink): void {
    // NATS gives a job to another worker when the first is silent. Only the new one counts.
    this.#attempt?.over.abort();
    clearTimeout(this.#late);
    this.#attempts++;
    const attempt = { worker, over: new AbortController() };
    this.#attempt = attempt;
    const before = this.#working;
    this.#working = (async () => {
      await before;
      await this.#work(attempt, bytes);
    })();
  }

  async #work(
    attempt: { readonly worker: string; readonly over: AbortController },
    bytes: SealedLink,
  ): Promise<void> {
    const { worker, over } = attempt;
    const place: ResultPlace = { protocol: PROTOCOL, worker };
    const { key, near } = this.#wanted;
    for (const name of [resultKey(key), ...near.map(({ name }) => nearKey(name))])
      this.#nats.results.put(name, messageBytes(place)).catch(() => {});
    let isBroken = false;
    bytes.once('error', () => {
      isBroken = true;
    });
    const client = openInnerClient(bytes, 'server');
    const lost = new LostWorker(worker);
    const server: OpenServer = {
      client,
      explain: (error) => error,
      again: () => Promise.reject(lost),
      [Symbol.dispose]: () => client[Symbol.dispose](),
    };
    try {
      const both = AbortSignal.any([this.#signal, over.signal]);
      this.#outcome.resolve(await this.#use(server, worker, both));
    } catch (error) {
      if (over.signal.aborted) return;
      if (!isBroken || this.#signal.aborted) this.#outcome.reject(error);
      else this.#lose(attempt, lost);
    } finally {
      client[Symbol.dispose]();
    }
  }

  #lose(attempt: object, lost: LostWorker): void {
    if (this.#attempt !== attempt) return;
    this.#attempt = undefined;
    this.#lost = lost;
    if (this.#attempts >= MAX_ATTEMPTS) this.#outcome.reject(lost);
    else this.#late = setTimeout(() => this.#outcome.reject(lost), REPLACED_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#late);
    this.#attempt?.over.abort();
    await this.#working;
    await this.#scope.disposeAsync();
    if (this.#sequence === undefined || this.#attempts > 0) return;
    // Nobody has taken it, and nobody shall.
    const { manager, connection } = this.#nats;
    if (!connection.isClosed())
      await manager.streams.deleteMessage(WORK_STREAM, this.#sequence, false).catch(() => {});
  }
}
