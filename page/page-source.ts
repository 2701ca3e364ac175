import type { BuildComparison } from '../history/build-comparison.ts';
import type { BuildView, LogLine } from '../history/build-view.ts';
import type { CacheReport } from '../history/cache-report.ts';
import type { LastRun } from '../history/last-run.ts';
import type { ImageComparison } from '../images/contents/comparison.ts';
import type {
  DirectoryPage,
  DirectoryQuery,
  ImageContents,
  TreemapBox,
  TreemapQuery,
} from '../images/contents/contents.ts';

/**
 * # Where the page has its data from
 *
 * The page (`browser/`) shows what a `PageSource` knows: the builds of a store, or of a test. Each
 * method may be called at any time and as often as somebody looks. Every text in an answer is
 * hostile. An `id` that is not known gives `undefined`, so that one damaged record hides no other.
 */
export interface PageSource {
  /** The builds that are known, newest first. */
  builds(): Awaitable<readonly BuildEntry[]>;
  /** Throws a `KilnError` that says what is wrong with the record when it is damaged. */
  build(id: string): Awaitable<BuildView | undefined>;
  /** Lines `from` to `from + count`, counted from 0, of what a step has written. */
  lines(id: string, range: LogRange): Awaitable<readonly LogLine[]>;
  /** The numbers of the lines of a step that contain a text, whatever its case. */
  search?(id: string, step: number, text: string, most: number): Awaitable<readonly number[]>;
  /** When the cached steps of a build ran last, by their indexes. */
  lastRuns?(id: string): Awaitable<ReadonlyMap<number, LastRun>>;
  /** What is in the images of a build that are still in the store, one for each platform. */
  images?(id: string): Awaitable<readonly ImageContents[]>;
  /** A part of a directory of one of these images. `image` is its index. */
  directory?(id: string, image: number, query: DirectoryQuery): Awaitable<DirectoryPage>;
  treemap?(id: string, image: number, query: TreemapQuery): Awaitable<TreemapBox>;
  /** What is different from another build, which is taken as the older one. */
  compare?(from: string, to: string): Awaitable<ComparedResults>;
  /** What the builds of the store miss, and what takes room in it. */
  cache?(): Awaitable<CacheReport | undefined>;
}

/** Two builds, and the images of theirs that have the same platform. */
export interface ComparedResults {
  readonly builds: BuildComparison;
  readonly images: readonly ImageComparison[];
}

type Awaitable<Value> = Value | Promise<Value>;

export interface LogRange {
  /** The index of the step in `BuildView.steps`. */
  readonly step: number;
  readonly from: number;
  readonly count: number;
}

/** A build in the list. */
export interface BuildEntry
  extends Pick<BuildView, 'id' | 'name' | 'state' | 'started' | 'counts'> {
  readonly ended?: number;
  readonly platforms: readonly string[];
  readonly branch?: string;
  /** Why it failed. */
  readonly error?: string;
  /** What is wrong with its record. Nothing else is known of it then. */
  readonly damage?: string;
}

export function entryOf(view: BuildView): BuildEntry {
  const { id, name, state, started, ended, counts, request, git, error } = view;
  return {
    ...{ id, name, state, started, counts, platforms: request.platforms },
    ...(ended !== undefined && { ended }),
    ...(git?.branch !== undefined && { branch: git.branch }),
    ...(error && { error: error.text }),
  };
}
