import { KilnError, messageOf } from '../base/errors.ts';
import type { Engine } from '../builder/engine.ts';
import { logNames } from '../builder/history/build-log.ts';
import type { PrunePolicy } from '../cache/gc/policy.ts';
import type { BuildView } from '../history/build-view.ts';
import type { CacheReport } from '../history/cache-report.ts';
import { compareBuilds } from '../history/compare-builds.ts';
import type { LastRun } from '../history/last-run.ts';
import { lastRuns } from '../history/last-runs.ts';
import { type ListedBuild, listBuilds } from '../history/list-builds.ts';
import { cacheReport } from '../history/make-cache-report.ts';
import { OpenRecord, readBuildView } from '../history/read-build.ts';
import { BuildImages } from './build-images.ts';
import { type BuildEntry, entryOf, type LogRange, type PageSource } from './page-source.ts';

/** How many records are kept open. */
const OPEN = 8;
/** How many builds the report of the cache is made of: the last ones. */
const REPORTED = 50;

export interface StoreSourceOptions {
  readonly engine: Engine;
  readonly signal: AbortSignal;
  /** The policies of collections after builds. */
  readonly policies: readonly PrunePolicy[];
}

/** The builds of a store, as the page shows them. It is good while the engine is open. */
export class StoreSource implements PageSource, Disposable {
  readonly #directory: string;
  readonly #open = new Map<string, OpenRecord>();
  /** Builds that have ended stay as they are. */
  readonly #entries = new Map<string, BuildEntry>();
  /** Of the build that somebody looks at. */
  #lastRuns: { readonly of: string; readonly runs: ReadonlyMap<number, LastRun> } | undefined;
  readonly #images: BuildImages;
  readonly #engine: Engine;
  readonly #policies: readonly PrunePolicy[];

  constructor({ engine, signal, policies }: StoreSourceOptions) {
    this.#engine = engine;
    this.#policies = policies;
    this.#directory = engine.store.logs;
    this.#images = new BuildImages(engine, signal);
  }

  builds(): readonly BuildEntry[] {
    const listed = listBuilds(this.#directory);
    const ids = new Set(listed.map(({ id }) => id));
    for (const id of this.#entries.keys()) if (!ids.has(id)) this.#entries.delete(id);
    return listed.map((build) => this.#entries.get(build.id) ?? this.#entry(build));
  }

  build(id: string): BuildView | undefined {
    return this.#find(id)?.view();
  }

  lines(id: string, { step, from, count }: LogRange) {
    return this.#find(id)?.lines(step, from, count) ?? [];
  }

  search(id: string, step: number, text: string, most: number): readonly number[] {
    return this.#find(id)?.search(step, text, 0, most) ?? [];
  }

  lastRuns(id: string): ReadonlyMap<number, LastRun> {
    const view = this.#known(id);
    // Of a build that runs, more steps may yet be cached.
    const of = `${id} ${view.steps.filter(({ state }) => state === 'cached').length}`;
    if (this.#lastRuns?.of !== of) this.#lastRuns = { of, runs: lastRuns(this.#directory, view) };
    return this.#lastRuns.runs;
  }

  cache(): CacheReport {
    const views = listBuilds(this.#directory).flatMap(({ id }, index) => {
      if (index >= REPORTED) return [];
      try {
        using opened = new OpenRecord(this.#directory, id);
        return [opened.view()];
      } catch {
        // The list says what is wrong with it.
        return [];
      }
    });
    return cacheReport(this.#engine, views, { policies: this.#policies });
  }

  readonly images: NonNullable<PageSource['images']> = async (id) => {
    const view = this.build(id);
    return view ? await this.#images.contents(view) : [];
  };

  readonly directory: NonNullable<PageSource['directory']> = async (id, image, query) =>
    await this.#images.directory(this.#known(id), image, query);

  readonly compare: NonNullable<PageSource['compare']> = async (from, to) => {
    const [older, newer] = [this.#known(from), this.#known(to)];
    return {
      builds: compareBuilds(older, newer),
      images: await this.#images.compare(older, newer),
    };
  };

  readonly treemap: NonNullable<PageSource['treemap']> = async (id, image, query) =>
    await this.#images.treemap(this.#known(id), image, query);

  #known(id: string): BuildView {
    const view = this.build(id);
    if (view) return view;
    throw new KilnError('KILN_LOG_NOT_FOUND', `there is no record of a build ${id}`);
  }

  #entry({ id, name, state, started, ended, counts }: ListedBuild): BuildEntry {
    try {
      if (state === 'damaged') return damagedEntry(id, 'its record cannot be read');
      // The whole record says why a build failed. It is not kept open, or a list of many builds
      // would need as many descriptors.
      const entry =
        state === 'failed'
          ? entryOf(readBuildView(this.#directory, id))
          : {
              ...{ id, name, state, started, counts: counts(), platforms: [] },
              ...(ended !== undefined && { ended }),
            };
      if (state !== 'running') this.#entries.set(id, entry);
      return entry;
    } catch (error) {
      return damagedEntry(id, messageOf(error));
    }
  }

  /** The open record of a build, read to its end. */
  #find(id: string): OpenRecord | undefined {
    const known = this.#open.get(id);
    if (known) {
      this.#open.delete(id);
      this.#open.set(id, known);
      known.refresh();
      return known;
    }
    if (!logNames(this.#directory).includes(id)) return undefined;
    const opened = new OpenRecord(this.#directory, id);
    this.#open.set(id, opened);
    for (const [oldest, build] of this.#open) {
      if (this.#open.size <= OPEN) break;
      build[Symbol.dispose]();
      this.#open.delete(oldest);
    }
    return opened;
  }

  [Symbol.dispose](): void {
    for (const build of this.#open.values()) build[Symbol.dispose]();
    this.#open.clear();
  }
}

function damagedEntry(id: string, damage: string): BuildEntry {
  const counts = { steps: 0, completed: 0, cached: 0, failed: 0, warnings: 0 };
  return { id, name: id, state: 'lost', started: 0, counts, platforms: [], damage };
}
