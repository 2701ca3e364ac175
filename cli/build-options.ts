import type { CallSpec } from '../builder/call.ts';
import type { BuildRequest } from '../builder/request.ts';
import type { ExportType } from '../exporter/output-spec.ts';
import type { GraphOptions } from '../frontend/graph-options.ts';
import type { ProgressMode } from './progress/view.ts';

/**
 * What `kiln build` was asked to do: flags and environment, parsed once. Nothing below reads a flag
 * or the environment. What goes into the request as it is has the request's type.
 */
export interface BuildOptions
  extends GraphOptions,
    Pick<BuildRequest, 'tags' | 'proxies' | 'limits' | 'allow' | 'devices' | 'cacheFrom' | 'cacheTo' | 'squash' | 'attest'> {
  /** A directory, `-`, or a URL, as written. */
  readonly context: string;
  /** `--file`, as written; `-` is standard input. */
  readonly file: string | undefined;
  readonly outputs: readonly OutputFlag[];
  readonly progress: ProgressMode;
  readonly quiet: boolean;
  /** Say at the end why steps were not cached. */
  readonly explain: boolean;
  readonly iidFile: string | undefined;
  readonly metadataFile: string | undefined;
  readonly secrets: readonly SecretSpec[];
  readonly ssh: readonly SshSpec[];
  readonly buildContexts: ReadonlyMap<string, string>;
  /** How many steps run at once. */
  readonly maxParallelism: number;
  /** `--on-error=shell` */
  readonly onError?: 'shell' | undefined;
  readonly outputOnError?: FailureOutput | undefined;
  /** A question about the Dockerfile, asked instead of building it. */
  readonly call?: CallSpec | undefined;
}

/** One `--output`. */
export interface OutputFlag {
  readonly type: ExportType | 'cacheonly';
  /** A path, or `-` for standard output; undefined where the type needs none. */
  readonly dest: string | undefined;
  /** The rest, by name: `name`, `push`, `compression`, … */
  readonly attributes: ReadonlyMap<string, string>;
}

/** `--output-on-error`: what of a failed step's tree is kept, and where. */
export interface FailureOutput {
  readonly directory: string;
  /** At least one; relative ones start at the step's working directory. */
  readonly paths: readonly string[];
}

export interface SecretSpec {
  readonly id: string;
  readonly source:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'env'; readonly name: string }
    | { readonly kind: 'stdin' };
  /** Steps that read it run again when its bytes are others. */
  readonly invalidate?: true;
}

export interface SshSpec {
  readonly id: string;
  /** Agent sockets or key files; the agent of SSH_AUTH_SOCK when empty. */
  readonly paths: readonly string[];
}
