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
   * No fewer than the bytes of the steps so far that can be more than the Dockerfile has: variables
   * in each RUN, and in heredocs.
   */
  readonly described: { bytesAtMost: number };
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
