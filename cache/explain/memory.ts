import { promisify } from 'node:util';
import { deflateRaw, inflateRawSync } from 'node:zlib';
import { type Digest, hexOf } from '../../base/digest.ts';
import type { Store } from '../../snapshotter/store/root.ts';
import type { KeyPart } from '../cache.ts';
import { parsedParts, prepareRecords } from '../records.ts';

/** The part of an earlier record that an explanation needs. */
export interface EarlierRecord {
  readonly key: Digest;
  readonly description: string;
  readonly parts: readonly KeyPart[];
}

/**
 * The data for explaining misses: earlier records of the same step of the same project, the content
 * that copies read, and the pruned records. It is read only when a step runs, so a build with all
 * steps cached never uses it.
 */
export interface MissMemory {
  /** True when this project has never been built here. */
  readonly isEmpty: boolean;
  /**
   * Records of the step `description`, or else of the step at the same place in the Dockerfile,
   * newest first.
   */
  earlier(description: string): readonly EarlierRecord[];
  /** The description in the record of a key. */
  nameOf(key: Digest): string | undefined;
  /** True when a record of that key exists, usable or not. */
  has(key: Digest): boolean;
  /** The time (milliseconds since 1970) and the reason of pruning the record of a key. */
  pruned(key: Digest): { readonly at: number; readonly reason: string } | undefined;
  /** The content of input `input` of the step with that key: see contentindex.ts. */
  index(key: Digest, input: number): Buffer | undefined;
  /** Keeps an index. It is compressed in the background. */
  keepIndex(key: Digest, input: number, index: Buffer): void;
  /** Writes the indexes given to `keepIndex`, at the end of the build. */
  settle(): Promise<void>;
}

/** More records of one step than this add nothing to an explanation. */
const MAX_RECORDS = 20;
/**
 * An index larger than this (about 100,000 files) is not kept. The explanation then only says that
 * files changed.
 */
const MAX_INDEX = 8 << 20;

/** An index smaller than this, of a few files, is stored uncompressed. */
const MIN_DEFLATED = 4096;
/** The first byte says how the rest is stored. */
const PLAIN = Buffer.of(0);
const DEFLATED = Buffer.of(1);

async function packed(index: Buffer): Promise<Buffer> {
  if (index.length < MIN_DEFLATED) return Buffer.concat([PLAIN, index]);
  return Buffer.concat([
    DEFLATED,
    await promisify<Buffer, object, Buffer>(deflateRaw)(index, { level: 1 }),
  ]);
}

/** Undefined for data in an unknown form. */
function unpacked(data: Buffer): Buffer | undefined {
  const rest = data.subarray(1);
  if (data[0] === PLAIN[0]) return rest;
  return data[0] === DEFLATED[0] ? inflateRawSync(rest, { maxOutputLength: MAX_INDEX }) : undefined;
}

/**
 * Opens the data for explanations in the tables of the records. `scope` names the project: see
 * openRecords.
 */
export function openMissMemory(store: Store, scope: string): MissMemory {
  prepareRecords(store);
  return new TableMemory(store, scope);
}

interface Row {
  readonly key: string;
  readonly description: string;
  readonly parts: string;
}

class TableMemory implements MissMemory {
  readonly #store: Store;
  readonly #scope: string;
  readonly #keeping: Promise<void>[] = [];
  /** The first result of `isEmpty`. It is kept because the running build adds records. */
  #empty: boolean | undefined;

  constructor(store: Store, scope: string) {
    this.#store = store;
    this.#scope = scope;
  }

  get isEmpty(): boolean {
    this.#empty ??=
      this.#store.db.get('SELECT 1 FROM record WHERE scope = ? LIMIT 1', this.#scope) === undefined;
    return this.#empty;
  }

  earlier(description: string): readonly EarlierRecord[] {
    const instruction = description.replace(/^\[[^\]]*\] /, '');
    const place = /^\[[^\]]*?\d+\//.exec(description)?.[0];
    const rows =
      this.#rows('description = ?', description) ??
      this.#rows(
        "description LIKE '[%' AND substr(description, instr(description, '] ') + 2) = ?",
        instruction,
      ) ??
      (place === undefined
        ? undefined
        : this.#rows('description >= ? AND description < ?', place, `${place}\uffff`));
    return (rows ?? []).map(({ key, description: name, parts }) => ({
      key: `sha256:${key}` as Digest,
      description: name,
      parts: parsedParts(parts) ?? [],
    }));
  }

  nameOf(key: Digest): string | undefined {
    return this.#store.db.get<{ description: string }>(
      'SELECT description FROM record WHERE key = ?',
      hexOf(key),
    )?.description;
  }

  has(key: Digest): boolean {
    return this.nameOf(key) !== undefined;
  }

  pruned(key: Digest): { at: number; reason: string } | undefined {
    const row = this.#store.db.get<{ at: number; reason: string }>(
      'SELECT at, reason FROM pruned WHERE key = ?',
      hexOf(key),
    );
    return row && typeof row.at === 'number' && typeof row.reason === 'string' ? row : undefined;
  }

  index(key: Digest, input: number): Buffer | undefined {
    const sql = 'SELECT data FROM content_index WHERE key = ? AND input = ?';
    const row = this.#store.db.get<{ data: Uint8Array }>(sql, hexOf(key), input);
    if (!row) return undefined;
    try {
      return unpacked(Buffer.from(row.data));
    } catch {
      return undefined;
    }
  }

  keepIndex(key: Digest, input: number, index: Buffer): void {
    if (index.length > MAX_INDEX) return;
    const kept = packed(index).then((data) => {
      const sql = 'INSERT OR REPLACE INTO content_index (key, input, data) VALUES (?, ?, ?)';
      this.#store.db.run(sql, hexOf(key), input, data);
    });
    // The disk is full. The next miss is then explained less well.
    this.#keeping.push(kept.catch(() => {}));
  }

  async settle(): Promise<void> {
    await Promise.all(this.#keeping.splice(0));
  }

  #rows(where: string, ...values: string[]): Row[] | undefined {
    const sql =
      `SELECT key, description, parts FROM record WHERE scope = ? AND ${where} ORDER BY ` +
      `created DESC LIMIT ${MAX_RECORDS}`;
    const rows = this.#store.db.all<Row>(sql, this.#scope, ...values);
    return rows.length === 0 ? undefined : rows;
  }
}
