import { CancelledError, errnoOf, KilnError, messageOf } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { familiarName, withoutLatest } from '../../base/reference.ts';
import { type ReadCache, readCache } from '../../cache/remote/source.ts';
import { internalStep } from '../internal-step.ts';
import type { CacheFromSpec } from '../request.ts';
import type { LazyRegistry } from './lazy-registry.ts';

/**
 * The caches of `--cache-from`, and those that a client names later. They are read in parallel with
 * the Dockerfile.
 */
export class Imports implements AsyncDisposable {
  readonly #begun = new Map<string, Promise<ReadCache | undefined>>();
  readonly #ended = new AbortController();
  readonly #readOne: (spec: CacheFromSpec) => Promise<ReadCache | undefined>;

  constructor(
    specs: readonly CacheFromSpec[],
    registry: LazyRegistry,
    progress: ProgressSink,
    cancelled: AbortSignal,
  ) {
    // A build that fails early, such as for a wrong Dockerfile, does not wait for a registry.
    const signal = AbortSignal.any([cancelled, this.#ended.signal]);
    this.#readOne = (spec) => readOne(spec, registry, progress, signal);
    this.add(specs);
  }

  /** Begins to read more caches. One that is known already is not read again. */
  add(specs: readonly CacheFromSpec[]): void {
    for (const spec of specs) {
      const name = JSON.stringify(spec);
      if (this.#begun.has(name)) continue;
      const reading = this.#readOne(spec);
      reading.catch(() => {});
      this.#begun.set(name, reading);
    }
  }

  get isEmpty(): boolean {
    return this.#begun.size === 0;
  }

  /** Those that could be read, in the order in which they were given. */
  async read(): Promise<readonly ReadCache[]> {
    return (await Promise.all(this.#begun.values())).flatMap((one) => one ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new CancelledError());
    await this.read().catch(() => {});
  }
}

/** Reads one cache. A cache that cannot be read is a warning, because a build can do without it. */
async function readOne(
  spec: CacheFromSpec,
  registry: LazyRegistry,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<ReadCache | undefined> {
  const name =
    spec.type === 'registry' ? familiarName(withoutLatest(spec.ref)) : (spec.shownAs ?? spec.src);
  try {
    return await internalStep(progress, `importing cache manifest from ${name}`, async (step) => {
      const cache = await readCache(spec, () => registry.client(), signal);
      step.done(`${cache.records.filter(({ outputs }) => outputs.length > 0).length} records`);
      const [lost] = cache.lost;
      if (lost !== undefined)
        progress({
          kind: 'warning',
          short:
            `the cache of ${name} lacks ${cache.lost.size} of its blobs, such as ${lost}: ` +
            'steps whose results need them run when they are needed',
          detail: [],
        });
      return cache;
    });
  } catch (error) {
    if (signal.aborted || !(error instanceof KilnError || errnoOf(error))) throw error;
    progress({
      kind: 'warning',
      short: `the cache of ${name} is not used: ${messageOf(error)}`,
      detail: [],
    });
    return undefined;
  }
}
