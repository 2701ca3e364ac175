import { CancelledError, errnoOf, KilnError, messageOf } from '../../base/errors.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { familiarName, withoutLatest } from '../../base/reference.ts';
import { type ReadCache, readCache } from '../../cache/remote/source.ts';
import { internalStep } from '../internal-step.ts';
import type { CacheFromSpec } from '../request.ts';
import type { LazyRegistry } from './lazy-registry.ts';

/**
 * The caches of `--cache-from`. The constructor begins to read them, in parallel with the
 * Dockerfile. `read` resolves to those that could be read.
 */
export class Imports implements AsyncDisposable {
  readonly read: Promise<readonly ReadCache[]>;
  readonly #ended = new AbortController();

  constructor(
    specs: readonly CacheFromSpec[],
    registry: LazyRegistry,
    progress: ProgressSink,
    cancelled: AbortSignal,
  ) {
    // A build that fails early, such as for a wrong Dockerfile, does not wait for a registry.
    const signal = AbortSignal.any([cancelled, this.#ended.signal]);
    const all = specs.map((spec) => readOne(spec, registry, progress, signal));
    this.read = Promise.all(all).then((read) => read.flatMap((one) => one ?? []));
    this.read.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new CancelledError());
    await this.read.catch(() => {});
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
