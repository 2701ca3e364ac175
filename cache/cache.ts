import type { Digest } from '../base/digest.ts';

/**
 * # Cache records
 *
 * A *record* ties a cache key to the results of one op (one per output). A *link* ties a definition key to the key of a record, so
 * that the next build finds the record without reading any input. `T` is what the solver's results serialise to; the store neither
 * knows nor looks.
 *
 * `load` answers only what can really be used: a record whose snapshots are gone is dropped, not returned.
 */
export interface CacheStore {
  load(key: Digest): CacheRecord | undefined;
  /** In one transaction; an older record of the same key is replaced. */
  save(record: CacheRecord): void;
  /** Written with the next record, or by `flush`. */
  link(definition: Digest, key: Digest): void;
  resolve(definition: Digest): Digest | undefined;
  /** Marks the record as used now. Cheap; written behind, in one transaction at the end of the build. */
  touch(key: Digest): void;
  /** Writes what is still behind. Called at the end of each solve, whether it succeeded or not. */
  flush(): void;
  /** Where records come from besides: imported caches. */
  readonly imported?: ImportedRecords;
}

export interface ImportedRecords {
  /** The records of `key`, the better first, for when that of the store itself cannot be used. */
  load(key: Digest): readonly CacheRecord[];
  /** Forgets a record whose bytes could not be had, and all that need the same bytes: `load` never answers it again. */
  drop(record: CacheRecord): void;
}

export interface CacheRecord {
  readonly key: Digest;
  /** One JSON value for each output of the op. */
  readonly outputs: readonly unknown[];
  /** The parts the key was made of, so that a miss can be explained by the first part that differs. */
  readonly parts: readonly KeyPart[];
  /** What the step is called, such as `RUN make`. */
  readonly description: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** How long the op ran. */
  readonly durationMs: number;
}

/** One ingredient of a key. `name` says what it is in the user's words (`command`, `environment FOO`, `input 0`, `file a/b`). */
export interface KeyPart {
  readonly name: string;
  readonly value: string;
}
