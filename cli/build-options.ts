import type { CallSpec } from '../builder/call-spec.ts';
import type { BuildRequest } from '../builder/request.ts';
import type { BuilderAddress } from './builder-address.ts';
import type { ProgressMode } from './progress/view.ts';

/**
 * The flags and environment variables of `kiln build`, parsed once. `request` decides the result.
 * The other fields say what this process lends to the build, how it shows progress, and which files
 * it writes afterwards. Code that is called with them reads no flag and no environment variable.
 */
export interface BuildOptions {
  readonly request: BuildRequest;
  /** The context argument as the user wrote it, for messages. */
  readonly shownContext: string;
  /** Directories and OCI layouts of this machine, by the names that the request uses for them. */
  readonly lentPaths: ReadonlyMap<string, LentPath>;
  /** The builder elsewhere that is asked for the build. Undefined when this process builds. */
  readonly builder?: BuilderAddress | undefined;
  /** The addresses of other machines that run steps. */
  readonly workers: readonly string[];
  /** The label that they must have. */
  readonly workerLabel?: string | undefined;
  /** Whether cache mounts are lent to them and taken from them. Undefined: as kiln.toml says. */
  readonly workerCacheMounts?: boolean | undefined;
  /** False: registries may use plain http and any certificate. */
  readonly tlsVerify: boolean;
  /** The file with the logins. Undefined means docker's config.json. */
  readonly authFile?: string | undefined;
  readonly secrets: readonly SecretSpec[];
  readonly ssh: readonly SshSpec[];
  readonly progress: ProgressMode;
  readonly quiet: boolean;
  /** Print at the end why steps were not cached. */
  readonly explain: boolean;
  readonly iidFile: string | undefined;
  readonly metadataFile: string | undefined;
  /** What else the metadata file tells. */
  readonly metadata: MetadataExtras;
  /** `--on-error=shell` */
  readonly onError?: 'shell' | undefined;
  readonly outputOnError?: FailureOutput | undefined;
  /** `--call` or `--check`: print something about the Dockerfile instead of building it. */
  readonly call?: CallSpec | undefined;
}

/** BUILDX_METADATA_PROVENANCE and BUILDX_METADATA_WARNINGS. */
export interface MetadataExtras {
  readonly provenance?: 'min' | 'max' | undefined;
  readonly warnings: boolean;
}

/** A directory or OCI layout on this machine. The path is as the user wrote it. */
export interface LentPath {
  readonly kind: 'directory' | 'oci-layout';
  readonly path: string;
}

/** `--output-on-error`: which files of a failed step are kept, and where. */
export interface FailureOutput {
  /** The directory on this machine that the files are copied to. */
  readonly directory: string;
  /** Paths in the step, at least one. Relative paths start at the step's working directory. */
  readonly paths: readonly string[];
}

export interface SecretSpec {
  readonly id: string;
  readonly source:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'env'; readonly name: string }
    | { readonly kind: 'stdin' };
  /** `invalidate=true`: steps that read the secret run again when its bytes change. */
  readonly invalidate?: true;
}

export interface SshSpec {
  readonly id: string;
  /** Agent sockets or key files. When empty, the agent at SSH_AUTH_SOCK is used. */
  readonly paths: readonly string[];
  /** `raw=true`: the only path is a socket. What listens there may be no agent. */
  readonly isRaw?: boolean;
}
