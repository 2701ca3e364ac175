import type { Digest } from '../base/digest.ts';

/**
 * # Cache records
 *
 * A *record* maps a cache key to the results of one op, one result for each output. A *link* maps a
 * definition key to the key of a record, so that the next build finds the record without reading
 * any input. `T` is the serialised form of the solver's results; the store does not look into it.
 *
 * `load` returns only records that can be used: a record whose snapshots no longer exist is dropped
 * and not returned.
 */
export interface CacheStore {
  load(key: Digest): CacheRecord | undefined;
  /** Saves in one transaction. An older record of the same key is replaced. */
  save(record: CacheRecord): void;
  /**
   * Makes the link `definition` lead to the record of `key`. It is written to disk with the next
   * record, or by `flush`.
   */
  link(definition: Digest, key: Digest): void;
  resolve(definition: Digest): Digest | undefined;
  /**
   * Marks the record as used now. This is cheap: the marks are written in one transaction at the
   * end of the build.
   */
  touch(key: Digest): void;
  /**
   * Writes everything that is still to be written. Called at the end of each solve, whether it
   * succeeded or not.
   */
  flush(): void;
  /** Another source of records: imported caches. */
  readonly imported?: ImportedRecords;
}

export interface ImportedRecords {
  /**
   * The records of `key`, the best one first. They are used if the store's own record cannot be
   * used.
   */
  load(key: Digest): readonly CacheRecord[];
  /**
   * Forgets a record whose bytes could not be fetched, and all records that need the same bytes.
   * `load` never returns them again.
   */
  drop(record: CacheRecord): void;
}

export interface CacheRecord {
  readonly key: Digest;
  /** One JSON value for each output of the op. */
  readonly outputs: readonly unknown[];
  /**
   * The parts that the key was made from, so that a miss can be explained by the first part that
   * differs.
   */
  readonly parts: readonly KeyPart[];
  /** The name of the step, such as `RUN make`. */
  readonly description: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The time that the op took. */
  readonly durationMs: number;
}

/**
 * One ingredient of a key. `name` describes it in words that a user of Kiln knows (`command`,
 * `environment FOO`, `input 0`, `file a/b`).
 */
export interface KeyPart {
  readonly name: string;
  readonly value: string;
}
