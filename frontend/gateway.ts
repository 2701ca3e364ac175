import type { Platform } from '../base/platform.ts';
import type { WarningEvent } from '../base/progress.ts';
import type { DraftEdge } from '../solver/llb/draft.ts';
import type { FrontendRequest, FrontendResult, ImageResolver } from './frontend.ts';

/**
 * # Frontends and their gateway
 *
 * A frontend turns the inputs of a build into a graph. It runs nothing and reads no file by itself.
 * For everything else it asks the gateway of its build. One interface serves three kinds of
 * frontends: the built-in Dockerfile frontend, one that runs in a container, and a client that
 * speaks BuildKit's LLBBridge. The methods are those of that service.
 */
export interface Gateway {
  /** The platform of the builder. */
  readonly buildPlatform: Platform;
  readonly signal: AbortSignal;
  /** Resolves an image reference for one platform (ResolveImageConfig). */
  readonly resolveImage: ImageResolver;
  /**
   * Solves a tree, so that its files can be read (Solve, ReadFile, StatFile). Its result is cached
   * like that of any step.
   */
  readonly solve: (tree: DraftEdge) => Promise<SolvedTree>;
  /** Shows the user a warning (Warn). */
  readonly warn: (warning: WarningEvent) => void;
}

/** A solved tree, to be read. Its files are untrusted: links are followed only inside it. */
export interface SolvedTree extends AsyncDisposable {
  /** Says what is at a path, with up to `max` bytes of a file. */
  readonly find: (path: string, max: number) => FoundFile;
  /**
   * At most `length` bytes of a regular file, from `offset` on. Undefined when there is no such
   * file.
   */
  readonly readPart: (path: string, offset: number, length: number) => Buffer | undefined;
  /** What is at a path, links followed. Undefined when there is nothing. */
  readonly stat: (path: string) => TreeEntry | undefined;
  /** What is in a directory, by the bytes of the names. Undefined when the path is not one. */
  readonly list: (path: string) => readonly TreeEntry[] | undefined;
}

/** A file of a solved tree. */
export interface TreeEntry {
  readonly name: string;
  /** As the kernel has it: type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly modTime: bigint;
  /** Where a symbolic link leads; empty for anything else. */
  readonly linkname: string;
}

/** What is at a path of a tree. */
export type FoundFile =
  | { readonly kind: 'file'; readonly bytes: Buffer }
  | { readonly kind: 'absent' }
  /** A link, on the way or at the end, whose target does not exist in the tree. */
  | { readonly kind: 'dangling'; readonly link: string; readonly target: string }
  /** Neither a file nor a link to one, such as `a FIFO`. */
  | { readonly kind: 'other'; readonly what: string }
  | { readonly kind: 'large'; readonly max: number };

/**
 * What a frontend gets: the build file, the contexts as the graph names them, and the options of
 * the build.
 */
export type FrontendInputs = Omit<FrontendRequest, 'resolveImage' | 'signal'>;

/** Answers, for each target platform, one edge and its image config. */
export interface Frontend {
  readonly solve: (gateway: Gateway, inputs: FrontendInputs) => Promise<FrontendResult>;
}

/** Combines the inputs with the gateway to the request that the Dockerfile lowering takes. */
export function requestOver(gateway: Gateway, inputs: FrontendInputs): FrontendRequest {
  return { ...inputs, resolveImage: gateway.resolveImage, signal: gateway.signal };
}
