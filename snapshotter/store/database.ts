import { closeSync, openSync, writeFileSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { errnoOf, KilnError, messageOf } from '../../base/errors.ts';
import { damaged, diskFull, isFull, unwritable } from './errors.ts';

/** How long a writer waits for another process's transaction, in milliseconds. Transactions here take well under one. */
const BUSY_MS = 10_000;

/** Primary SQLite result codes (sqlite.org/rescode.html). */
const SQLITE = { busy: 5, locked: 6, readonly: 8, ioerr: 10, corrupt: 11, full: 13, cantopen: 14, notadb: 26 } as const;

/**
 * The store's SQLite file. Statements are prepared once per text. Failures come out as KilnErrors: a full disk, a store that may
 * not be written, a busy one, and damage, which is also marked on disk so that the next open rebuilds the file.
 */
export class Database {
  readonly path: string;
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;

  /** Opens or creates `path`. Throws when it is no database; see root.ts for what happens then. */
  constructor(path: string, create: boolean) {
    this.path = path;
    this.#db = this.#guard(() => new DatabaseSync(path, { timeout: BUSY_MS }));
    try {
      // WAL is a property of the file, so it is set once; asking again would cost a millisecond at each start.
      if (create) {
        // Counts only while the file is empty; see vacuum.ts.
        this.exec('PRAGMA auto_vacuum=INCREMENTAL');
        this.#useWal();
      }
      this.exec('PRAGMA synchronous=NORMAL');
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /** SQLite does not wait for the lock that this takes: two processes that make the same store at once take turns. */
  #useWal(): void {
    const deadline = Date.now() + BUSY_MS;
    for (;;) {
      try {
        return this.exec('PRAGMA journal_mode=WAL');
      } catch (error) {
        if (!(error instanceof KilnError) || error.code !== 'KILN_STORE_BUSY' || Date.now() > deadline) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      }
    }
  }

  exec(sql: string): void {
    this.#guard(() => this.#db.exec(sql));
  }

  /** The first row, or undefined. `T` is the caller's word for what the columns are. */
  get<T>(sql: string, ...values: SQLInputValue[]): T | undefined {
    return this.#guard(() => this.#prepare(sql).get(...values)) as T | undefined;
  }

  all<T>(sql: string, ...values: SQLInputValue[]): T[] {
    return this.#guard(() => this.#prepare(sql).all(...values)) as T[];
  }

  /** The number of rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#guard(() => this.#prepare(sql).run(...values)).changes);
  }

  /** Runs `body` in one transaction, which takes the write lock at once; a nested call joins the outer one. */
  transaction<T>(body: () => T): T {
    if (this.#depth > 0) return body();
    this.exec('BEGIN IMMEDIATE');
    this.#depth++;
    let done = false;
    try {
      const value = body();
      this.exec('COMMIT');
      done = true;
      return value;
    } finally {
      this.#depth--;
      // SQLite has rolled back by itself after some errors, a full disk among them.
      if (!done && this.#db.isTransaction) this.#db.exec('ROLLBACK');
    }
  }

  /** Changes when another connection has written since the last call. */
  version(): number {
    return this.pragma('data_version');
  }

  /** One of SQLite's numbers about the file (sqlite.org/pragma.html). */
  pragma(name: 'data_version' | 'auto_vacuum' | 'page_count' | 'freelist_count'): number {
    return this.get<Record<string, number>>(`PRAGMA ${name}`)?.[name] ?? 0;
  }

  close(): void {
    this.#statements.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #guard<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw this.#translate(error);
    }
  }

  #translate(error: unknown): unknown {
    switch (resultCode(error)) {
      case SQLITE.full:
        return diskFull(this.path, error);
      case SQLITE.readonly:
      case SQLITE.cantopen:
        return unwritable(this.path, openError(this.path) ?? error);
      case SQLITE.busy:
      case SQLITE.locked:
        return new KilnError('KILN_STORE_BUSY', 'the store stayed locked by another process', {
          place: { kind: 'path', path: this.path },
          hint: 'wait for the other kiln command to end, then try again',
          cause: error,
        });
      case SQLITE.ioerr:
        // A disk too full for the shared-memory file shows as an I/O error.
        return isFull(this.path) ? diskFull(this.path, error) : unwritable(this.path, error);
      case SQLITE.corrupt:
      case SQLITE.notadb:
        markDamaged(this.path);
        return damaged(
          this.path,
          `the store's index is damaged: ${messageOf(error)}`,
          'run the command again: the index is then rebuilt from the layers and blobs on disk',
          error,
        );
      default:
        return error;
    }
  }
}

/** Why the file cannot be opened, which SQLite does not say; undefined when it can. */
function openError(path: string): unknown {
  try {
    closeSync(openSync(path, 'r+'));
    return undefined;
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? undefined : error;
  }
}

/** The file whose presence makes the next open rebuild the database. */
export function damageMarker(database: string): string {
  return `${database}.damaged`;
}

function markDamaged(database: string): void {
  try {
    writeFileSync(damageMarker(database), '');
  } catch {
    // The damage is reported in any case; a later open meets it again.
  }
}

/** The primary result code of an error of node:sqlite, whose `errcode` may be an extended one. */
function resultCode(error: unknown): number | undefined {
  if (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number') return error.errcode & 0xff;
  return undefined;
}
