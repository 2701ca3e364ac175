import { asDigest, type Digest, hexOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { redactData, redactUrl } from '../base/redact.ts';
import { ownersOf } from '../snapshotter/overlay/sidecar.ts';
import type { LayerId } from '../snapshotter/snapshotter.ts';
import type { Store } from '../snapshotter/store/root.ts';
import type { CacheRecord, CacheStore, KeyPart } from './cache.ts';

/**
 * The tables. Only append to this list: see Store.migrate. Digests are stored as their 64 hex
 * digits; times are milliseconds since 1970.
 */
const TABLES = [
  `CREATE TABLE record (
     key TEXT PRIMARY KEY, outputs TEXT NOT NULL, parts TEXT NOT NULL, description TEXT NOT NULL,
     created INTEGER NOT NULL, duration REAL NOT NULL, used INTEGER NOT NULL
   );
   CREATE TABLE link (definition TEXT PRIMARY KEY, key TEXT NOT NULL, used INTEGER NOT NULL)
     WITHOUT ROWID`,
  // These columns and tables explain misses (explain/): the project of a step, the content that a
  // copy read, and the pruned records.
  `ALTER TABLE record ADD COLUMN scope TEXT NOT NULL DEFAULT '';
   CREATE INDEX record_by_step ON record (scope, description, created);
   CREATE TABLE content_index (
     key TEXT NOT NULL, input INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (key, input)
   );
   CREATE TABLE pruned (key TEXT PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT NULL)
     WITHOUT ROWID`,
];

/**
 * A use is written only when the one on disk is older than this, so that a second build with all
 * steps cached writes nothing.
 */
const USE_GRAIN_MS = 3_600_000;

interface RecordRow {
  readonly outputs: string;
  readonly parts: string;
  readonly description: string;
  readonly created: number;
  readonly duration: number;
  readonly used: number;
}

/**
 * Cache records in the store's database. A save costs 0.13 to 0.28 ms, a load 20 µs, a link 8 µs
 * (2-core VM, November 2026). Several processes may share the tables: the last save of a key wins,
 * and every one of them is right. `scope` names the project that saves, so that an explanation
 * compares a step with earlier results of the same project. It has no other use.
 */
export function openRecords(store: Pick<Store, 'db' | 'migrate' | 'warn'>, scope = ''): CacheStore {
  prepareRecords(store);
  return new Records(store, scope);
}

/** Creates the tables of records, for callers that read them without `openRecords`. */
export function prepareRecords(store: Pick<Store, 'migrate'>): void {
  store.migrate('cache-records', TABLES);
}

/** A record in a list. `key` has no `sha256:` prefix; times are in milliseconds since 1970. */
export interface ListedRecord {
  readonly key: string;
  readonly description: string;
  readonly created: number;
  readonly used: number;
  readonly durationMs: number;
  readonly outputs: unknown;
  readonly parts: unknown;
}

/** All records, the most recently used first. */
export function recordsOf(store: Pick<Store, 'db' | 'migrate'>): ListedRecord[] {
  prepareRecords(store);
  const rows = store.db.all<RecordRow & { readonly key: string }>(
    'SELECT * FROM record ORDER BY used DESC, created DESC',
  );
  return rows.flatMap(({ key, description, created, used, duration, outputs, parts }) => {
    const read = { outputs: parsedList(outputs), parts: parsedList(parts) };
    if (!isSoundKey(key) || !read.outputs || !read.parts) return [];
    return [
      {
        key,
        description,
        created,
        used,
        durationMs: duration,
        outputs: read.outputs,
        parts: read.parts,
      },
    ];
  });
}

/**
 * The list in the JSON of a row. Undefined when it is not a list: a row that cannot be read counts
 * as missing.
 */
export function parsedList(text: unknown): readonly unknown[] | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The parts of a key in a row. Undefined when they cannot be read. */
export function parsedParts(text: unknown): readonly KeyPart[] | undefined {
  const list = parsedList(text);
  const isPart = (part: unknown) => {
    const { name, value } = Object(part) as Partial<KeyPart>;
    return typeof name === 'string' && typeof value === 'string';
  };
  return list?.every(isPart) ? (list as readonly KeyPart[]) : undefined;
}

/**
 * The layers whose directories a record needs, bottom first: a version of a layer comes after its
 * base. Undefined when the row cannot be read.
 */
export function layersOfRecord(outputs: unknown): LayerId[] | undefined {
  return parsedList(outputs)?.flatMap((value) => {
    const { layers } = Object(value) as { readonly layers?: unknown };
    const ids: readonly unknown[] = Array.isArray(layers) ? layers : [];
    return ids.filter((id) => typeof id === 'string').flatMap((id) => ownersOf(id as LayerId));
  });
}

/** The keys of rows that cannot be read. */
export function unreadableRecords({ db }: Pick<Store, 'db'>): string[] {
  return db
    .all<RecordRow & { readonly key: string }>('SELECT * FROM record')
    .filter(({ key, outputs, parts, description, ...numbers }) => {
      const { created, used, duration } = numbers;
      const counts = [created, used, duration].every(
        (value) => typeof value === 'number' && value >= 0,
      );
      const texts = isSoundKey(key) && typeof description === 'string';
      return !counts || !texts || !layersOfRecord(outputs) || !parsedParts(parts);
    })
    .map(({ key }) => key);
}

/** True for the 64 hex digits of a digest, as keys are stored. */
export function isSoundKey(key: unknown): key is string {
  return typeof key === 'string' && /^[0-9a-f]{64}$/.test(key);
}

class Records implements CacheStore {
  readonly #db: Store['db'];
  readonly #warn: (sentence: string) => void;
  readonly #scope: string;
  readonly #links = new Map<Digest, Digest>();
  /** The time at which the use of each record was last written. */
  readonly #uses = new Map<string, number>();
  readonly #touched = { record: new Set<string>(), link: new Set<string>() };

  constructor({ db, warn }: Pick<Store, 'db' | 'warn'>, scope: string) {
    this.#db = db;
    this.#warn = warn;
    this.#scope = scope;
  }

  load(key: Digest): CacheRecord | undefined {
    const row = this.#db.get<RecordRow>(
      'SELECT outputs, parts, description, created, duration, used FROM record WHERE key = ?',
      hexOf(key),
    );
    if (!row) return undefined;
    const outputs = parsedList(row.outputs);
    if (!outputs) return this.#unreadable('record', 'key', hexOf(key));
    this.#uses.set(hexOf(key), Number(row.used));
    return {
      key,
      outputs,
      description: row.description,
      created: row.created,
      durationMs: row.duration,
      // The parts are long, and are read only to explain a miss.
      get parts() {
        return parsedParts(row.parts) ?? [];
      },
    };
  }

  save(record: CacheRecord): void {
    const outputs = JSON.stringify(record.outputs);
    // The key was made from the real values. These texts are only for explanations.
    const parts = JSON.stringify(redactData(record.parts));
    this.#db.transaction(() => {
      this.#db.run(
        'INSERT OR REPLACE INTO record (key, outputs, parts, description, created, ' +
          'duration, used, scope) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
        hexOf(record.key),
        outputs,
        parts,
        redactUrl(record.description),
        record.created,
        record.durationMs,
        record.created,
        this.#scope,
      );
      this.#writeLinks();
    });
    this.#links.clear();
    this.#uses.set(hexOf(record.key), record.created);
  }

  link(definition: Digest, key: Digest): void {
    if (this.resolve(definition) !== key) this.#links.set(definition, key);
  }

  resolve(definition: Digest): Digest | undefined {
    const pending = this.#links.get(definition);
    if (pending) return pending;
    const hex = hexOf(definition);
    const row = this.#db.get<{ key: string; used: number }>(
      'SELECT key, used FROM link WHERE definition = ?',
      hex,
    );
    if (!row) return undefined;
    if (!isSoundKey(row.key)) return this.#unreadable('link', 'definition', hex);
    if (isStale(row.used)) this.#touched.link.add(hex);
    return asDigest(`sha256:${row.key}`);
  }

  #unreadable(table: 'record' | 'link', column: 'key' | 'definition', key: string): undefined {
    this.#db.run(`DELETE FROM ${table} WHERE ${column} = ?`, key);
    this.#warn(
      "the index held cache records that could not be read: their steps run again ('kiln " +
        "fsck --repair' removes the rest)",
    );
    return undefined;
  }

  touch(key: Digest): void {
    if (isStale(this.#uses.get(hexOf(key)) ?? 0)) this.#touched.record.add(hexOf(key));
  }

  flush(): void {
    const { record, link } = this.#touched;
    if (this.#links.size + record.size + link.size === 0) return;
    try {
      this.#db.transaction(() => {
        this.#writeLinks();
        const now = Date.now();
        for (const key of record)
          this.#db.run('UPDATE record SET used = ? WHERE key = ?', now, key);
        for (const definition of link)
          this.#db.run('UPDATE link SET used = ? WHERE definition = ?', now, definition);
        for (const key of record) this.#uses.set(key, now);
      });
    } catch (error) {
      // The disk is full or the store is busy. All of this can be computed again, so a build that
      // has its result does not fail.
      if (!(error instanceof KilnError)) throw error;
    }
    this.#links.clear();
    record.clear();
    link.clear();
  }

  #writeLinks(): void {
    const now = Date.now();
    for (const [definition, key] of this.#links) {
      this.#db.run(
        'INSERT OR REPLACE INTO link (definition, key, used) VALUES (?, ?, ?)',
        hexOf(definition),
        hexOf(key),
        now,
      );
    }
  }
}

function isStale(used: number): boolean {
  return used < Date.now() - USE_GRAIN_MS;
}
