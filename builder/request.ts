import type { Reference } from '../base/reference.ts';
import type { CacheSource } from '../cache/remote/source.ts';
import type { ResourceLimits } from '../executor/limits.ts';
import type { AttestOptions } from '../exporter/attest/attestation.ts';
import type { OutputSpec } from '../exporter/output-spec.ts';
import { type GitRef, gitRefOf } from '../frontend/convert/gitref.ts';
import { imageNamed } from '../frontend/convert/imagename.ts';
import { type GraphOptions, PLAIN_GRAPH } from '../frontend/graph-options.ts';
import type { LookUps } from '../registry/tags.ts';
import type { Compression } from '../snapshotter/content.ts';
import type { SourcePolicy } from '../solver/source-policy/policy.ts';

/**
 * # What is to be built
 *
 * Everything that decides the result of a build, and nothing of the process or terminal that asks
 * for it. Each value is parsed. Directories, secrets, agents and input have names here, and are
 * found by them in the `Session`. `request-fields.ts` has the JSON form of each field.
 */
export interface BuildRequest extends GraphOptions {
  /** The frontend that turns the build file into a graph, by its name in the engine. */
  readonly frontend: string;
  /**
   * Options for a frontend in an image, by BuildKit's names, besides those that the other fields
   * make. `source` names the image when `frontend` is `gateway.v0`.
   */
  readonly frontendOptions: ReadonlyMap<string, string>;
  /** Graphs for a frontend in an image, by name: each a pb.Definition in base64. */
  readonly frontendInputs: ReadonlyMap<string, string>;
  readonly context: ContextSource;
  readonly dockerfile: DockerfileSource;
  /**
   * The absolute path of the ignore file. Undefined means the one beside the Dockerfile or in the
   * context.
   */
  readonly ignoreFile: string | undefined;
  /** `--build-context`, by name. */
  readonly namedContexts: ReadonlyMap<string, NamedContextSource>;
  /** The names of the image in the log and in its SBOM. An output has its own list of names. */
  readonly tags: readonly string[];
  /** More build arguments: the proxies configured for docker. Provenance does not list them. */
  readonly proxies: ReadonlyMap<string, string>;
  /** The most memory, CPU and so on that each step may use. */
  readonly limits: ResourceLimits | undefined;
  /**
   * The entitlements of the steps, which are rights beyond the sandbox: `network.host`,
   * `security.insecure`, `device`, `device=NAME`.
   */
  readonly allow: readonly string[];
  /** Devices that every step gets, by their CDI names. */
  readonly devices: readonly string[];
  /** Where the result is written. When the list is empty, the result is only in the cache. */
  readonly outputs: readonly OutputSpec[];
  readonly cacheFrom: readonly CacheFromSpec[];
  readonly cacheTo: readonly CacheToSpec[];
  /** All layers above the base image become one. */
  readonly squash: boolean;
  readonly attest: AttestOptions;
  /** Which sources may be used, and which are replaced. */
  readonly sourcePolicies: readonly SourcePolicy[];
  /**
   * What becomes of a policy in Rego beside the Dockerfile. It is refused, unless the caller
   * evaluates it or does not want it.
   */
  readonly policyFile: 'refused' | 'ignored';
  /** The IDs of secrets whose bytes are part of keys: when one changes, its steps run again. */
  readonly secretsInKeys: readonly string[];
  /**
   * When registries are asked what the tag of a base means. `pull` comes before it: then they are
   * asked about every base.
   */
  readonly lookUps: LookUps;
  /** The most steps that run at once. Undefined means the worker's own limit. */
  readonly parallelism: number | undefined;
}

/** Where the build context comes from. */
export type ContextSource =
  /** The directory that the session has under this name. */
  | { readonly kind: 'directory'; readonly name: string }
  /**
   * An input of the session: an archive, or a Dockerfile without a context. A session that has
   * several inputs finds it by its name.
   */
  | InputContextSource
  /** A git repository, or an archive or a Dockerfile at a URL: see `remoteContext`. */
  | RemoteContextSource
  | GraphSource;

/** The result of a graph, a pb.Definition in base64. */
interface GraphSource {
  readonly kind: 'graph';
  readonly definition: string;
}

interface InputContextSource {
  readonly kind: 'input';
  readonly name?: string | undefined;
  /** The directory in the archive that is the context. Undefined means all of it. */
  readonly subdir?: string | undefined;
}

interface RemoteContextSource {
  readonly kind: 'remote';
  readonly url: string;
  /** The directory in an archive that is the context. Undefined means all of it. */
  readonly subdir?: string | undefined;
  /** The git repository that `url` names. Undefined for a file of an HTTP server. */
  readonly git: GitRef | undefined;
}

/** Where the Dockerfile comes from. */
export type DockerfileSource =
  /** `Dockerfile` at the top of the context. */
  | { readonly kind: 'default' }
  /**
   * A file at `path`, which is absolute or relative to the context. It may be outside the context.
   * `name` is the path as the user wrote it.
   */
  | { readonly kind: 'file'; readonly path: string; readonly name: string }
  /** The file `name` in the session's `directory`, which is not the context. */
  | { readonly kind: 'lent'; readonly directory: string; readonly name: string }
  /** The session's input. */
  | { readonly kind: 'input' }
  | { readonly kind: 'remote'; readonly url: string }
  | { readonly kind: 'text'; readonly text: string }
  /** The file `name` in the result of a graph. */
  | (GraphSource & { readonly name: string });

/** A named context. It takes the place of the image or stage with its name. */
export type NamedContextSource =
  | {
      readonly kind: 'directory';
      readonly name: string;
      /** Its ignore file is one of its files, and ignores nothing. */
      readonly whole?: boolean | undefined;
    }
  /** An image, or the empty one, whose `reference` is undefined. `ref` is how it was written. */
  | { readonly kind: 'image'; readonly ref: string; readonly reference: Reference | undefined }
  /**
   * An image in an OCI layout, which is the session's directory `name`. `suffix` is `:TAG`,
   * `@DIGEST`, both or empty.
   */
  | { readonly kind: 'oci-layout'; readonly name: string; readonly suffix: string }
  | { readonly kind: 'git'; readonly url: string; readonly git: GitRef }
  | { readonly kind: 'http'; readonly url: string }
  /** `config` is the image config as JSON, when the result is an image. */
  | (GraphSource & { readonly config: string | undefined })
  /** One that a client has only when it builds. Questions are answered without it. */
  | { readonly kind: 'unknown' };

/** A cache that is read. */
export type CacheFromSpec = CacheSource;

/** A cache that is written: inside the image, or apart from it. */
export type CacheToSpec = { readonly type: 'inline' } | CacheFileSpec;

/** A cache apart from the image: at a reference in a registry, or in a directory. */
export type CacheFileSpec = CacheToOptions &
  (
    | {
        readonly type: 'registry';
        readonly ref: Reference;
        /** Plain http and any certificate will do. */
        readonly insecure?: boolean | undefined;
      }
    | {
        readonly type: 'local';
        readonly dest: string;
        readonly tag: string;
        /** Blobs of the directory that belong to no cache there are removed. */
        readonly reset?: boolean | undefined;
      }
  );

/** How a cache apart from the image is written. */
export interface CacheToOptions {
  readonly mode: 'min' | 'max';
  readonly imageManifest: boolean;
  readonly ociTypes: boolean;
  readonly compression: Compression;
  readonly level: number | undefined;
  readonly forceCompression: boolean;
  readonly ignoreError: boolean;
}

/** The name of the built-in frontend. */
export const DOCKERFILE_FRONTEND = 'dockerfile.v0';

/** The name under which the frontend of an image is asked. The option `source` names the image. */
export const IMAGE_FRONTEND = 'gateway.v0';

/** Builds the directory `context` with its `Dockerfile`, and leaves the result in the cache. */
const PLAIN: BuildRequest = {
  ...PLAIN_GRAPH,
  frontend: DOCKERFILE_FRONTEND,
  frontendOptions: new Map(),
  frontendInputs: new Map(),
  context: { kind: 'directory', name: 'context' },
  dockerfile: { kind: 'default' },
  ignoreFile: undefined,
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
  sourcePolicies: [],
  policyFile: 'refused',
  secretsInKeys: [],
  lookUps: 'ask',
  parallelism: undefined,
};

/** Makes a request. Fields that are not given are those of a plain build of `context`. */
export function buildRequest(given: Partial<BuildRequest>): BuildRequest {
  return { ...PLAIN, ...given };
}

/** The path or URL of a Dockerfile as the user wrote it. Undefined for one without such a name. */
export function dockerfileName(source: DockerfileSource): string | undefined {
  if (source.kind === 'remote') return source.url;
  return 'name' in source ? source.name : undefined;
}

/** Where a context is: its URL, what `placeOf` says of its directory, or `-` for what was sent. */
export function placeOfContext(
  context: ContextSource,
  placeOf: (directory: string) => string,
): string {
  if (context.kind === 'remote') return context.url;
  return context.kind === 'directory' ? placeOf(context.name) : '-';
}

/** The context at a URL. Throws KILN_ADD_GIT when it names a git repository with a wrong query. */
export function remoteContext(url: string): ContextSource {
  return { kind: 'remote', url, git: gitRefOf(url) };
}

/** A named context that is an image, or `scratch`. Throws KILN_IMAGE_NAME. */
export function imageContext(ref: string): NamedContextSource {
  return { kind: 'image', ref, reference: ref === 'scratch' ? undefined : imageNamed(ref) };
}
