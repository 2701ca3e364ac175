import { messageOf } from '../base/errors.ts';
import type { Store } from '../snapshotter/store/root.ts';

/** The least time from the end of one write-back to the start of the next, in milliseconds. */
const PAUSE_MS = 10_000;

export interface UpkeepOptions {
  readonly store: Pick<Store, 'root' | 'warn'>;
  /**
   * Starts to write new layers back to disk. The promise settles when that is over. Undefined when
   * there are no new layers.
   */
  readonly writeBack: () => Promise<void> | undefined;
  /** Collects the cache by its policies, or starts a process that does. */
  readonly collect: () => Promise<void>;
  /** Settles when another write-back may begin. Keeps no process alive. */
  readonly pause?: () => Promise<void>;
}

/**
 * # What is to be done after builds
 *
 * New layers are written back to disk, so that they survive a power cut. Now and then the cache is
 * collected. No build waits for either. The first build that ends starts a write-back at once. The
 * builds that end while it runs, or shortly after it, share the next one. One collection runs at a
 * time. A build that made no layer costs one query of the index.
 */
export class Upkeep implements AsyncDisposable {
  readonly #options: UpkeepOptions;
  /** Settles when another write-back may begin. Undefined when it may begin now. */
  #pause: Promise<void> | undefined;
  /** A build is over since the last write-back began. */
  #isOwed = false;
  /** The same, and it was not cancelled. */
  #isOwedAtClose = false;
  #collection: Promise<void> | undefined;

  constructor(options: UpkeepOptions) {
    this.#options = options;
  }

  /**
   * Call this when a build is over. A cancelled build starts nothing now, because its caller wants
   * the process to end. What it made is written back a little later, if the engine is still open.
   */
  afterBuild(how: 'ended' | 'cancelled'): void {
    this.#isOwed = true;
    this.#isOwedAtClose ||= how === 'ended';
    if (this.#pause) return;
    if (how === 'ended') this.#begin();
    else this.#rest(Promise.resolve());
  }

  /** Starts the write-back that is owed, and waits for the collection that runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOwedAtClose) this.#writeBack();
    this.#isOwed = false;
    await this.#collection;
  }

  #begin(): void {
    const over = this.#writeBack();
    if (!over) return;
    this.#rest(over);
    this.#collection ??= this.#collect().finally(() => {
      this.#collection = undefined;
    });
  }

  #writeBack(): Promise<void> | undefined {
    this.#isOwed = false;
    this.#isOwedAtClose = false;
    try {
      return this.#options.writeBack();
    } catch (error) {
      this.#warn('new layers could not be written back to disk', error);
      return undefined;
    }
  }

  #rest(over: Promise<void>): void {
    const { pause = usualPause } = this.#options;
    this.#pause = over.then(pause).then(() => {
      this.#pause = undefined;
      if (this.#isOwed) this.#begin();
    });
  }

  /** Never rejects. */
  async #collect(): Promise<void> {
    const { store, collect } = this.#options;
    try {
      const { takeTurn } = await import('../cache/gc/turn.ts');
      if (takeTurn(store)) await collect();
    } catch (error) {
      this.#warn('the cache could not be collected', error);
    }
  }

  #warn(what: string, error: unknown): void {
    this.#options.store.warn(`${what}: ${messageOf(error)}`);
  }
}

async function usualPause(): Promise<void> {
  await new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS).unref());
}
