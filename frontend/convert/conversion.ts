import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type { ProxyEnv } from '../../solver/llb/ops.ts';
import type { FrontendRequest } from '../frontend.ts';
import type { StageList } from './stage-list.ts';
import type { Warn } from './warn.ts';
import type { Words } from './words.ts';

/** What the lowering of one Dockerfile for one platform works with. */
export interface Conversion {
  readonly request: FrontendRequest;
  readonly target: Platform;
  /** No `--platform` was given: an image of another platform is taken as it is. */
  readonly implicitTarget: boolean;
  /** Several platforms are built, so names say which. */
  readonly showPlatform: boolean;
  /** The ARGs before the first FROM and the predefined ones. */
  readonly globals: ReadonlyMap<string, string>;
  readonly words: Words;
  readonly proxy: ProxyEnv | undefined;
  readonly stages: StageList;
  /** The build context; which of its paths are read is filled into `contextPaths` on the way. */
  readonly context: DraftEdge;
  readonly contextPaths: Set<string>;
  /** What the first cache mount of each id says of its owner. */
  readonly cacheOwners: Map<string, string>;
  readonly warn: Warn;
  /** Instructions that came out of ONBUILDs so far. */
  readonly triggers: { count: number };
  /**
   * Bytes of the graph so far that can be more than the Dockerfile has: variables in each RUN, and
   * in heredocs.
   */
  readonly described: { bytes: number };
  /** Tells the checks that an instruction has been lowered. */
  readonly reached: (range: SourceRange) => void;
}

/**
 * The paths a context must send, for `local.followpaths`: none means everything. In: absolute
 * paths.
 */
export function followPaths(paths: ReadonlySet<string>): readonly string[] {
  if (paths.has('/')) return [];
  return [...paths].map((path) => path.slice(1)).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** BuildKit takes definitions of 16 MiB. */
const MAX_GRAPH = 128 << 20;

/** Throws KILN_DOCKERFILE_TOO_COMPLEX for a graph that takes so many bytes to describe. */
export function checkGraph(bytes: number): void {
  if (bytes <= MAX_GRAPH) return;
  throw new KilnError('KILN_DOCKERFILE_TOO_COMPLEX', `the steps would take more than ${MAX_GRAPH >> 20} MiB to describe`, {
    hint: 'each RUN is described with all variables that are set before it: set fewer, or later',
  });
}

/** While a file is lowered: before anything is made of what it describes. */
export function describe({ described }: Conversion, bytes: number): void {
  described.bytes += bytes;
  checkGraph(described.bytes);
}
