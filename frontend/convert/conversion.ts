import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { ProxyEnv } from '../../solver/llb/exec-op.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type { FrontendRequest } from '../frontend.ts';
import type { StageList } from './stage-list.ts';
import type { Warn } from './warn.ts';
import type { Words } from './words.ts';

/** The state of lowering one Dockerfile for one platform. */
export interface Conversion {
  readonly request: FrontendRequest;
  readonly target: Platform;
  /** True when `--platform` was not given: an image for another platform is then accepted. */
  readonly implicitTarget: boolean;
  /** True when several platforms are built, so that step names say which. */
  readonly showPlatform: boolean;
  /** The ARGs before the first FROM and the predefined ones. */
  readonly globals: ReadonlyMap<string, string>;
  readonly words: Words;
  readonly proxy: ProxyEnv | undefined;
  readonly stages: StageList;
  /** The build context. The paths that are read from it are collected in `contextPaths`. */
  readonly context: DraftEdge;
  readonly contextPaths: Set<string>;
  /** The owner that the first cache mount of each id gives. */
  readonly cacheOwners: Map<string, string>;
  readonly warn: Warn;
  /** The number of instructions from ONBUILDs so far. */
  readonly triggers: { count: number };
  /**
   * The bytes of the graph so far that can exceed the size of the Dockerfile: variables in each RUN
   * and in heredocs.
   */
  readonly described: { bytes: number };
  /** Tells the checks that an instruction has been lowered. */
  readonly reached: (range: SourceRange) => void;
}

/**
 * The paths that a context must send, for `local.followpaths`. An empty list means everything. The
 * input has absolute paths.
 */
export function followPaths(paths: ReadonlySet<string>): readonly string[] {
  if (paths.has('/')) return [];
  return [...paths]
    .map((path) => path.slice(1))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** BuildKit takes definitions of 16 MiB. */
const MAX_GRAPH = 128 << 20;

/** Throws KILN_DOCKERFILE_TOO_COMPLEX when the description of the graph has too many bytes. */
export function checkGraph(bytes: number): void {
  if (bytes <= MAX_GRAPH) return;
  throw new KilnError(
    'KILN_DOCKERFILE_TOO_COMPLEX',
    `the steps would take more than ${MAX_GRAPH >> 20} MiB to describe`,
    {
      hint: 'each RUN is described with all variables that are set before it: set fewer, or later',
    },
  );
}

/** Counts bytes while a file is lowered, before anything is made of them. */
export function describe({ described }: Conversion, bytes: number): void {
  described.bytes += bytes;
  checkGraph(described.bytes);
}
