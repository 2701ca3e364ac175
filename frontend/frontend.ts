import type { Digest } from '../base/digest.ts';
import type { SourceText } from '../base/errors.ts';
import type { ImageConfig } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import type { WarningEvent } from '../base/progress.ts';
import type { Reference } from '../base/reference.ts';
import type { DraftEdge } from '../solver/llb/draft.ts';
import type { LlbEdge } from '../solver/llb/graph.ts';
import type { GitRef } from './convert/gitref.ts';
import type { GraphOptions } from './graph-options.ts';
import type { IgnoreFile } from './ignore.ts';

/**
 * # The Dockerfile frontend
 *
 * Input: a Dockerfile's text, the options of the build, and two functions (what is this image, what
 * does this context hold). Output: for each target platform one LLB edge and its image config. The
 * frontend runs nothing and reads no file.
 */
export interface FrontendRequest extends GraphOptions {
  readonly dockerfile: SourceText;
  readonly buildPlatform: Platform;
  /** `--build-context` by name. */
  readonly namedContexts: ReadonlyMap<string, NamedContext>;
  readonly mainContext: MainContext;
  readonly resolveImage: ImageResolver;
  readonly signal: AbortSignal;
}

/**
 * The build context as the graph names it: a directory (or an unpacked tar) of the caller, or a
 * tree of `convert/remote.ts`.
 */
export type MainContext = {
  /** Unique per build. It keeps a local source from being equal to that of another build. */
  readonly sessionId: string;
  /** The `.dockerignore` patterns in force, in order. */
  readonly ignore: readonly string[];
  /** The file of these patterns, for checks and errors. Absent when there is none. */
  readonly ignoreFile?: IgnoreFile | undefined;
} & (
  | { readonly kind: 'local'; readonly sharedKeyHint: string }
  /** `source` is what the tree is fetched from, when it has a time. */
  | {
      readonly kind: 'remote';
      readonly tree: DraftEdge;
      readonly source?: TimedSource | undefined;
    }
);

/** What a tree is made from. */
export type TimedSource =
  | { readonly kind: 'git'; readonly tree: DraftEdge }
  | { readonly kind: 'http'; readonly url: string };

export type NamedContext =
  | { readonly kind: 'git'; readonly url: string; readonly git: GitRef }
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'local'; readonly name: string; readonly ignore: readonly string[] }
  /** `ref` is how the image was written. The empty one has no reference. */
  | { readonly kind: 'image'; readonly ref: string; readonly reference: Reference | undefined }
  | { readonly kind: 'oci-layout'; readonly ref: string; readonly store: string }
  /** A tree that a graph makes, with its config when it is an image. */
  | {
      readonly kind: 'graph';
      readonly edge: LlbEdge | undefined;
      readonly config: ImageConfig | undefined;
    }
  /** Of which nothing is known, when a question about the rest of the Dockerfile is answered. */
  | { readonly kind: 'unknown' };

/**
 * Resolves an image reference for one platform. `ref` is as written in FROM, expanded. Throws
 * KILN_IMAGE_NOT_FOUND and similar errors.
 */
export type ImageResolver = (
  ref: string,
  platform: Platform,
  options: {
    readonly pull: boolean;
    readonly stageName?: string;
    /** Any tree may take the place of the image. */
    readonly orTree?: boolean;
  },
) => Promise<ResolvedImage>;

export interface ResolvedImage {
  /** The full name with tag, without digest: `docker.io/library/busybox:latest`. */
  readonly name: string;
  /** The digest of the index or manifest for which the name stands. */
  readonly digest: Digest;
  readonly config: ImageConfig;
  /** True when the image is in the local store or a layout rather than in a registry. */
  readonly local: boolean;
  /** The image that a source policy puts in the place of the one that was asked for. */
  readonly replaced?: Reference | undefined;
  /**
   * With `orTree`: a source policy puts something else in the image's place. Its digest is that
   * of the name, and its config is empty.
   */
  readonly isTree?: boolean;
}

export interface FrontendResult {
  readonly targets: readonly TargetResult[];
  readonly warnings: readonly WarningEvent[];
  /** The time of the sources, in seconds since 1970. */
  readonly epoch?: number | undefined;
}

export interface TargetResult {
  readonly platform: Platform;
  /** Undefined for an empty image (`FROM scratch` and nothing else). */
  readonly edge: LlbEdge | undefined;
  /**
   * The image config with history, but without `rootfs.diff_ids` and `created`, which the exporter
   * adds. The history has its layers in order, without `created` where the exporter sets it.
   */
  readonly config: ImageConfig;
  /** The config of the base image, if there is one. Its history is unchanged. */
  readonly base?: ImageConfig | undefined;
  /** What else the Dockerfile wants in SBOMs. Undefined when it says nothing about that. */
  readonly scanned?: ScannedTrees | undefined;
}

/** The trees that BUILDKIT_SBOM_SCAN_CONTEXT and BUILDKIT_SBOM_SCAN_STAGE add to an SBOM. */
export interface ScannedTrees {
  /** By the name of the stage, or `context`. */
  readonly trees: ReadonlyMap<string, LlbEdge>;
  /** One of the stages is built without the cache. */
  readonly ignoreCache: boolean;
}
