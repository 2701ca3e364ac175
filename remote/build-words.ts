import type { OutputPlace } from '../exporter/output-spec.ts';
import type { SourcePolicy } from '../solver/source-policy/policy.ts';
import type { LentTree } from './lend/lent-directories.ts';

/**
 * # A build in the words of BuildKit's API
 *
 * What a server is asked for, before it is known how the caller lends what belongs to it. A request
 * of a build here is written in these words (`request-words.ts`); `buildctl` is given them.
 */
export interface BuildWords {
  /** Empty when there is a graph in its place. */
  readonly frontend: string;
  readonly options: Readonly<Record<string, string>>;
  /** Graphs for the frontend by name, each a pb.Definition. */
  readonly inputs: Readonly<Record<string, Uint8Array>>;
  /** A pb.Definition. */
  readonly definition?: Uint8Array | undefined;
  readonly outputs: readonly OutputWords[];
  readonly importCache: readonly TypedAttributes[];
  readonly exportCache: readonly TypedAttributes[];
  readonly entitlements: readonly string[];
  /** Which sources may be used, and which are replaced. */
  readonly sourcePolicy?: SourcePolicy | undefined;
  /** The directories that the server may read, by name. */
  readonly directories: ReadonlyMap<string, LentTree>;
  /** Absolute paths of the OCI layouts that it may read, by the names of their stores. */
  readonly layouts: ReadonlyMap<string, string>;
  /** What it may fetch inside the session, by the last names of the URLs. */
  readonly uploads: ReadonlyMap<string, Buffer>;
}

/** An output or a cache. Attributes that are paths of the caller are absolute. */
export interface TypedAttributes {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface OutputWords extends TypedAttributes {
  /** Where it comes to the caller. Undefined when it does not. */
  readonly comes?: OutputArrival | undefined;
}

export type OutputArrival =
  | { readonly kind: 'bytes'; readonly place: OutputPlace }
  /** A tree, or an OCI layout, in a directory at an absolute path. */
  | { readonly kind: 'tree'; readonly path: string; readonly deletes: boolean }
  | { readonly kind: 'layout'; readonly path: string }
  /** An archive for the Docker engine of this host. */
  | { readonly kind: 'engine' };
