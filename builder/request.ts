import type { Reference } from '../base/reference.ts';
import type { CacheSource } from '../cache/remote/source.ts';
import type { ResourceLimits } from '../executor/limits.ts';
import type { AttestOptions } from '../exporter/attest/attestation.ts';
import type { OutputSpec } from '../exporter/output-spec.ts';
import { type GraphOptions, PLAIN_GRAPH } from '../frontend/graph-options.ts';
import type { Compression } from '../snapshotter/content.ts';

/**
 * # What is to be built
 *
 * Everything that decides the result of a build, and nothing else: no flag, colour, environment or
 * log. Each value is parsed. What the caller lends (directories, secrets, agents, input) is named
 * here and found in the `Session`. `request-fields.ts` says how each field is written down.
 */
export interface BuildRequest extends GraphOptions {
  /** What makes a graph of the build file: a frontend that the engine has. */
  readonly frontend: string;
  readonly context: ContextSource;
  readonly dockerfile: DockerfileSource;
  /** `--build-context`, by name. */
  readonly namedContexts: ReadonlyMap<string, NamedContextSource>;
  /** Names of the image. Those of an output that names its own go before them. */
  readonly tags: readonly string[];
  /**
   * Build arguments that nothing which tells of the build tells: proxies that are configured for
   * docker.
   */
  readonly proxies: ReadonlyMap<string, string>;
  /** What each step may use at most. */
  readonly limits: ResourceLimits | undefined;
  /**
   * What steps may do beyond the sandbox: `network.host`, `security.insecure`, `device`,
   * `device=NAME`.
   */
  readonly allow: readonly string[];
  /** Devices that every step gets, by their CDI names. */
  readonly devices: readonly string[];
  /** Where the result goes. Nowhere when empty: then only the cache has it. */
  readonly outputs: readonly OutputSpec[];
  readonly cacheFrom: readonly CacheFromSpec[];
  readonly cacheTo: readonly CacheToSpec[];
  /** One layer for all that is above the base image. */
  readonly squash: boolean;
  readonly attest: AttestOptions;
  /** Secrets whose bytes count: a step that reads one runs again when they are others. */
  readonly secretsInKeys: readonly string[];
  /** How many steps run at once; as many as there are processors when undefined. */
  readonly parallelism: number | undefined;
}

/** Where the build context comes from. */
export type ContextSource =
  /** The directory that the session lends under this name. */
  | { readonly kind: 'directory'; readonly name: string }
  /** The session's input: an archive, or a Dockerfile without a context. */
  | { readonly kind: 'input' }
  /** A git repository, an archive or a Dockerfile at a URL. */
  | { readonly kind: 'remote'; readonly url: string };

/** Where the Dockerfile comes from. */
export type DockerfileSource =
  /** `Dockerfile` at the top of the context. */
  | { readonly kind: 'default' }
  /**
   * A file in the context when `path` is relative to it, or a file of the caller's. `name` is how
   * it was written.
   */
  | { readonly kind: 'file'; readonly path: string; readonly name: string }
  /** A file of a directory of its own that the session lends, apart from the context. */
  | { readonly kind: 'lent'; readonly directory: string; readonly name: string }
  | { readonly kind: 'input' }
  | { readonly kind: 'remote'; readonly url: string }
  | { readonly kind: 'text'; readonly text: string };

/** One named context: it stands in the place of an image or a stage of that name. */
export type NamedContextSource =
  | { readonly kind: 'directory'; readonly name: string }
  | { readonly kind: 'image'; readonly ref: string }
  /**
   * `suffix` is `:TAG`, `@DIGEST`, both or nothing; the layout is what the session lends under
   * `name`.
   */
  | { readonly kind: 'oci-layout'; readonly name: string; readonly suffix: string }
  | { readonly kind: 'git'; readonly url: string }
  | { readonly kind: 'http'; readonly url: string };

/** One cache that is read. */
export type CacheFromSpec = CacheSource;

/** One cache that is written. */
export type CacheToSpec = { readonly type: 'inline' } | CacheFileSpec;

/** A cache of its own, apart from the image: under a name of a registry, or in a directory. */
export type CacheFileSpec = CacheToOptions &
  (
    | { readonly type: 'registry'; readonly ref: Reference }
    | { readonly type: 'local'; readonly dest: string; readonly tag: string }
  );

/** How a cache of its own is written. */
export interface CacheToOptions {
  readonly mode: 'min' | 'max';
  readonly imageManifest: boolean;
  readonly ociTypes: boolean;
  readonly compression: Compression;
  readonly level: number | undefined;
  readonly forceCompression: boolean;
  readonly ignoreError: boolean;
}

/** The frontend that is built in. */
export const DOCKERFILE_FRONTEND = 'dockerfile.v0';

/** Builds the directory `context` with its `Dockerfile`, and leaves the result in the cache. */
const PLAIN: BuildRequest = {
  ...PLAIN_GRAPH,
  frontend: DOCKERFILE_FRONTEND,
  context: { kind: 'directory', name: 'context' },
  dockerfile: { kind: 'default' },
  namedContexts: new Map(),
  tags: [],
  proxies: new Map(),
  limits: undefined,
  allow: [],
  devices: [],
  outputs: [],
  cacheFrom: [],
  cacheTo: [],
  squash: false,
  attest: { provenance: undefined, sbom: false },
  secretsInKeys: [],
  parallelism: undefined,
};

/** A request in which only what is given differs from a plain build of the directory `context`. */
export function buildRequest(given: Partial<BuildRequest>): BuildRequest {
  return { ...PLAIN, ...given };
}
