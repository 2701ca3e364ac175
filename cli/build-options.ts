import type { Platform } from '../base/platform.ts';
import type { CallSpec } from '../builder/call.ts';
import type { CacheFromSpec, CacheToSpec } from '../builder/request.ts';
import type { ResourceLimits } from '../executor/limits.ts';
import type { AttestOptions } from '../exporter/attest/attestation.ts';
import type { ExportType } from '../exporter/output-spec.ts';
import type { ProgressMode } from './progress/view.ts';

/** What `kiln build` was asked to do: flags and environment, parsed once. Nothing below reads a flag or the environment. */
export interface BuildOptions {
  /** A directory, `-`, or a URL, as written. */
  readonly context: string;
  /** `--file`, as written; `-` is standard input. */
  readonly file: string | undefined;
  readonly tags: readonly string[];
  readonly target: string | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** Proxies that are configured for docker, as build arguments. Apart from the others: what tells of the build does not tell them. */
  readonly proxies?: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly platforms: readonly Platform[];
  readonly outputs: readonly OutputFlag[];
  readonly noCache: 'none' | 'all' | readonly string[];
  readonly pull: boolean;
  readonly progress: ProgressMode;
  readonly quiet: boolean;
  /** Say at the end why steps were not cached. */
  readonly explain: boolean;
  readonly iidFile: string | undefined;
  readonly metadataFile: string | undefined;
  readonly network: 'default' | 'none' | 'host';
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly secrets: readonly SecretSpec[];
  readonly ssh: readonly SshSpec[];
  readonly shmSize: number;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string;
  /** What each step may use at most. */
  readonly limits?: ResourceLimits | undefined;
  readonly buildContexts: ReadonlyMap<string, string>;
  readonly allow: readonly string[];
  /** Devices that every step gets, by their names. */
  readonly devices: readonly string[];
  /** SOURCE_DATE_EPOCH in seconds. */
  readonly epoch: number | undefined;
  /** Caches that are read, and caches that are written. */
  readonly cacheFrom: readonly CacheFromSpec[];
  readonly cacheTo: readonly CacheToSpec[];
  /** How many steps run at once. */
  readonly maxParallelism: number;
  /** `--squash`: one layer for all that is above the base image. */
  readonly squash?: boolean | undefined;
  /** `--on-error=shell` */
  readonly onError?: 'shell' | undefined;
  readonly outputOnError?: FailureOutput | undefined;
  /** A question about the Dockerfile, asked instead of building it. */
  readonly call?: CallSpec | undefined;
  /** What is to be said about the result, beside it. */
  readonly attest: AttestOptions;
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
