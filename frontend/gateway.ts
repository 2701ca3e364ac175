import type { Platform } from '../base/platform.ts';
import type { WarningEvent } from '../base/progress.ts';
import type { DraftEdge } from '../solver/llb/draft.ts';
import type { FrontendRequest, FrontendResult, ImageResolver } from './frontend.ts';

/**
 * # Frontends and what they may ask
 *
 * A frontend turns what a build was given into a graph. It runs nothing and reads no file by
 * itself: all that it wants to know of the world it asks the gateway of its build. One interface
 * serves three kinds of frontends: the Dockerfile frontend, which is built in; one that runs in a
 * container; and a client that speaks BuildKit's LLBBridge. The questions are those of that
 * service.
 */
export interface Gateway {
  /** What the builder runs on. */
  readonly buildPlatform: Platform;
  readonly signal: AbortSignal;
  /** What an image reference is, for one platform (ResolveImageConfig). */
  readonly resolveImage: ImageResolver;
  /**
   * Solves a tree, so that it can be looked into (Solve, ReadFile, StatFile). What it comes to is
   * cached like any step.
   */
  readonly solve: (tree: DraftEdge) => Promise<SolvedTree>;
  /** Tells the user something (Warn). */
  readonly warn: (warning: WarningEvent) => void;
}

/** A tree that is solved, to be read. Its files are a stranger's: links are followed inside it. */
export interface SolvedTree extends AsyncDisposable {
  /** What is at a path, up to `max` bytes of it. */
  readonly find: (path: string, max: number) => FoundFile;
  /** The first `length` bytes of a regular file that is there. */
  readonly readStart: (path: string, length: number) => Buffer;
}

/** What is at a path of a tree. */
export type FoundFile =
  | { readonly kind: 'file'; readonly bytes: Buffer }
  | { readonly kind: 'absent' }
  /** A link, on the way or at the end, that leads to nothing in the tree. */
  | { readonly kind: 'dangling'; readonly link: string; readonly target: string }
  /** Neither a file nor a link to one: `a FIFO`. */
  | { readonly kind: 'other'; readonly what: string }
  | { readonly kind: 'large'; readonly max: number };

/**
 * What a frontend is given: the build file, the contexts as the graph names them, and the options
 * of the build.
 */
export type FrontendInputs = Omit<FrontendRequest, 'resolveImage' | 'signal'>;

/** Answers for each target platform one edge and the image config that belongs to it. */
export interface Frontend {
  readonly solve: (gateway: Gateway, inputs: FrontendInputs) => Promise<FrontendResult>;
}

/** The inputs with the questions of the gateway, as the lowering of a Dockerfile takes them. */
export function requestOver(gateway: Gateway, inputs: FrontendInputs): FrontendRequest {
  return { ...inputs, resolveImage: gateway.resolveImage, signal: gateway.signal };
}
