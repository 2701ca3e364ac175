import type { Platform } from '../base/platform.ts';

/**
 * What a user chooses for the graph of a build. Both `BuildRequest` and the request to a frontend
 * have these fields, under these names.
 */
export interface GraphOptions {
  /** `--target`. Undefined means the last stage. */
  readonly target: string | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** `--label`, in order of name. */
  readonly labels: ReadonlyMap<string, string>;
  /** `--platform`, each once. Empty means the build platform. */
  readonly platforms: readonly Platform[];
  /** `--no-cache` is `all`; `--no-cache-filter` a list of stages. */
  readonly noCache: 'none' | 'all' | readonly string[];
  /** Asks registries for a newer base even when the store has one. */
  readonly pull: boolean;
  readonly network: 'default' | 'none' | 'host';
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  /** Bytes of /dev/shm in steps. 0 means the default size. */
  readonly shmSize: number;
  readonly ulimits: readonly {
    readonly name: string;
    readonly soft: number;
    readonly hard: number;
  }[];
  readonly cgroupParent: string;
  /** Mounts that every RUN has, each as the text of a `--mount`. */
  readonly automounts: readonly string[];
  /** Directories and files of named contexts that every RUN has. */
  readonly volumes: readonly VolumeMount[];
  /** SOURCE_DATE_EPOCH, in seconds since 1970. */
  readonly epoch: number | undefined;
  /**
   * `buildkit` leaves Kiln's own checks out, unless the Dockerfile names them, and has those that
   * BuildKit's present frontend applies to every file.
   */
  readonly checks: 'kiln' | 'buildkit';
}

/** A mount of a directory or file. What a step writes to it is thrown away. */
export interface VolumeMount {
  /** The named context that it is in. */
  readonly context: string;
  /** The path in the context, beginning with a slash. */
  readonly source: string;
  /** The absolute path in the step. */
  readonly target: string;
  readonly readonly: boolean;
}

/** The options of a plain build. */
export const PLAIN_GRAPH: GraphOptions = {
  target: undefined,
  buildArgs: new Map(),
  labels: new Map(),
  platforms: [],
  noCache: 'none',
  pull: false,
  network: 'default',
  extraHosts: [],
  shmSize: 0,
  ulimits: [],
  cgroupParent: '',
  automounts: [],
  volumes: [],
  epoch: undefined,
  checks: 'kiln',
};
const NAMES = Object.keys(PLAIN_GRAPH) as (keyof GraphOptions)[];

/** Copies only these fields of `options`. */
export function graphOptions(options: GraphOptions): GraphOptions {
  return Object.fromEntries(NAMES.map((name) => [name, options[name]])) as unknown as GraphOptions;
}
