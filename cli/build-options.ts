import type { CallSpec } from '../builder/call.ts';
import type { BuildRequest } from '../builder/request.ts';
import type { ProgressMode } from './progress/view.ts';

/**
 * What `kiln build` was asked to do: flags and environment, parsed once. `request` decides the
 * result. The rest is what this process lends to the build, shows of it and writes after it.
 * Nothing below reads a flag or the environment.
 */
export interface BuildOptions {
  readonly request: BuildRequest;
  /** The context as written. */
  readonly shownContext: string;
  /** The directories and layouts of this machine, by the names that the request has for them. */
  readonly lentPaths: ReadonlyMap<string, LentPath>;
  readonly secrets: readonly SecretSpec[];
  readonly ssh: readonly SshSpec[];
  readonly progress: ProgressMode;
  readonly quiet: boolean;
  /** Say at the end why steps were not cached. */
  readonly explain: boolean;
  readonly iidFile: string | undefined;
  readonly metadataFile: string | undefined;
  /** `--on-error=shell` */
  readonly onError?: 'shell' | undefined;
  readonly outputOnError?: FailureOutput | undefined;
  /** A question about the Dockerfile, asked instead of building it. */
  readonly call?: CallSpec | undefined;
}

/** A place on this machine, its path as written. */
export interface LentPath {
  readonly kind: 'directory' | 'oci-layout';
  readonly path: string;
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
