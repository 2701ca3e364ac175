import { closeSync, openSync, statSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { datasync } from '../../base/datasync.ts';
import { errnoOf, KilnError, messageOf } from '../../base/errors.ts';
import { pause } from '../../base/pause.ts';
import { damaged, diskFull, isFull, unwritable } from './store-errors.ts';

/**
 * The milliseconds that a writer waits for another process's transaction. A transaction in Kiln
 * takes well under one.
 */
const BUSY_MS = 10_000;

/**
 * The pages of the log after which a transaction writes them back to the file, which keeps its
 * caller waiting for the disk. SQLite's own number is 1,000, which a build of 50 steps reaches.
 */
const CHECKPOINT_PAGES = 2000;

/** Primary SQLite result codes (sqlite.org/rescode.html). */
const SQLITE = {
  error: 1,
  busy: 5,
  locked: 6,
  readonly: 8,
  ioerr: 10,
  corrupt: 11,
  full: 13,
  cantopen: 14,
  notadb: 26,
} as const;

/**
 * The store's SQLite file. Statements are prepared once per text. Failures become KilnErrors: a
 * full disk, a store that may not be written, a busy one, and damage. Any statement may find
 * damage, even late. After `healWith` was called, the file is then made again, and the statement,
 * or the whole transaction around it, runs once more.
 */
export class Database {
  readonly path: string;
  readonly #statements = new Map<string, StatementSync>();
  #db: DatabaseSync;
  #inode: number;
  #depth = 0;
  /** How often the file was made again while it was open. */
  #renewals = 0;
  #heal: ((damage: KilnError | undefined) => void) | undefined;
  #tables: ReadonlySet<string> = new Set(['rooms', 'recovery']);
  #healing = false;
  #syncing: Promise<void> | undefined;
  readonly #damages = new WeakSet<object>();

  /**
   * Opens or creates `path`. Throws when it is not a database (see root.ts for what happens then).
   */
  constructor(path: string, create: boolean) {
    this.path = path;
    this.#db = this.#connect(create);
    this.#inode = inodeOf(path);
  }

  /**
   * Sets the function that repairs the file. `heal` makes an intact file at `path`, calls `reopen`,
   * and fills the tables. It gets the damage, or undefined when another process has replaced the
   * file. `tables` are those that must exist once they were made.
   */
  healWith(heal: (damage: KilnError | undefined) => void, tables: ReadonlySet<string>): void {
    this.#heal = heal;
    this.#tables = tables;
  }

  /**
   * Closes the open file and opens the one that is now at `path`, which is made when it is missing.
   */
  reopen(): void {
    this.close();
    this.#renewals++;
    this.#db = this.#connect(true);
    this.#inode = inodeOf(this.path);
  }

  /** True while the open file is the one at `path`. */
  get isInPlace(): boolean {
    return inodeOf(this.path) === this.#inode;
  }

  /** Makes the file again, for damage that SQLite does not see. */
  renew(why: string): void {
    if (this.#heal && !this.#healing) this.#healNow(this.#damage(why));
  }

  #connect(create: boolean): DatabaseSync {
    this.#db = this.#translated(() => new DatabaseSync(this.path, { timeout: BUSY_MS }));
    try {
      // WAL is a property of the file, so it is set once. Asking again would cost a millisecond at
      // each start.
      if (create) {
        // This has an effect only while the file is empty (see vacuum.ts).
        this.exec('PRAGMA auto_vacuum=INCREMENTAL');
        this.#useWal();
      }
      this.exec(`PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=${CHECKPOINT_PAGES}`);
      return this.#db;
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /**
   * SQLite does not wait for the lock that this takes, so two processes that make the same store at
   * once take turns here.
   */
  #useWal(): void {
    const deadline = Date.now() + BUSY_MS;
    for (;;) {
      try {
        return this.exec('PRAGMA journal_mode=WAL');
      } catch (error) {
        if (
          !(error instanceof KilnError) ||
          error.code !== 'KILN_STORE_BUSY' ||
          Date.now() > deadline
        )
          throw error;
        pause(5);
      }
    }
  }

  exec(sql: string): void {
    this.#guard(() => this.#db.exec(sql));
  }

  /** The first row, or undefined. The caller states with `T` what the columns are. */
  get<T>(sql: string, ...values: SQLInputValue[]): T | undefined {
    return this.#guard(() => this.#prepare(sql).get(...values)) as T | undefined;
  }

  all<T>(sql: string, ...values: SQLInputValue[]): T[] {
    return this.#guard(() => this.#prepare(sql).all(...values)) as T[];
  }

  /** Returns the number of rows that were changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    this.#stayInPlace();
    return Number(this.#guard(() => this.#prepare(sql).run(...values)).changes);
  }

  /**
   * Runs `body` in one transaction, which takes the write lock at once. A nested call joins the
   * outer one.
   */
  transaction<T>(body: () => T): T {
    if (this.#depth > 0) return body();
    this.#stayInPlace();
    try {
      return this.#transact(body);
    } catch (error) {
      if (!this.#canHeal(error)) throw error;
      this.#healNow(error);
      return this.#transact(body);
    }
  }

  #transact<T>(body: () => T): T {
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
      // After some errors, such as a full disk, SQLite has already rolled back.
      if (!done) this.#rollBack();
    }
  }

  #rollBack(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
    } catch {
      // The error that made the transaction fail is thrown. A damaged file is replaced anyway.
    }
  }

  /**
   * A value that changes when another connection has written since the last call, or when the file
   * was made again.
   */
  version(): string {
    return `${this.#renewals} ${this.pragma('data_version')}`;
  }

  /** One of SQLite's numbers about the file (sqlite.org/pragma.html). */
  pragma(name: 'data_version' | 'auto_vacuum' | 'page_count' | 'freelist_count'): number {
    return this.get<Record<string, number>>(`PRAGMA ${name}`)?.[name] ?? 0;
  }

  /**
   * Begins to write the log to disk. What was committed until now will survive a power cut once
   * `leave` has returned.
   */
  syncSoon(): void {
    const before = this.#syncing;
    this.#syncing = Promise.all([syncFile(`${this.path}-wal`), before]).then(() => undefined);
    // The error is thrown to the caller of `leave`.
    this.#syncing.catch(() => {});
  }

  /**
   * To be called instead of `close` when the process ends right after. The log stays as it is after
   * a crash, and the next process goes on with it. To close the last connection means to write the
   * log back and to remove it, for which this process and the next one would wait for the disk
   * three times.
   */
  async leave(): Promise<void> {
    try {
      await this.#syncing;
    } catch {
      // Closing tries again, and tells what is wrong with the disk.
      this.close();
    }
  }

  close(): void {
    this.#statements.clear();
    try {
      if (this.#db.isOpen) this.#db.close();
    } catch (error) {
      // The last connection writes back the log when it closes, and may find damage. The next open
      // finds it too.
      if (!this.#damages.has(Object(this.#translate(error)))) throw error;
    }
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
      return this.#translated(body);
    } catch (error) {
      // Inside a transaction the whole transaction runs again, not the statement.
      if (this.#depth > 0 || !this.#canHeal(error)) throw error;
      this.#healNow(error);
      return this.#translated(body);
    }
  }

  #translated<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      throw this.#translate(error);
    }
  }

  #canHeal(error: unknown): error is KilnError {
    return (
      this.#heal !== undefined &&
      !this.#healing &&
      error instanceof KilnError &&
      this.#damages.has(error)
    );
  }

  #healNow(damage: KilnError | undefined): void {
    this.#healing = true;
    try {
      this.#heal?.(damage);
    } finally {
      this.#healing = false;
    }
  }

  /**
   * Another process may have found damage and replaced the file. Rows that are written to the old
   * one would be lost.
   */
  #stayInPlace(): void {
    if (this.#heal && !this.#healing && this.#depth === 0 && !this.isInPlace)
      this.#healNow(undefined);
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
        // A disk that is too full for the shared-memory file gives an I/O error.
        return isFull(this.path) ? diskFull(this.path, error) : unwritable(this.path, error);
      case SQLITE.corrupt:
      case SQLITE.notadb:
        return this.#damage(messageOf(error), error);
      case SQLITE.error:
        return this.#lacksTable(messageOf(error)) ? this.#damage(messageOf(error), error) : error;
      default:
        return error;
    }
  }

  /**
   * True for a file that SQLite accepts but that lacks Kiln's tables: one of 0 bytes, or that of
   * another program.
   */
  #lacksTable(message: string): boolean {
    const name = /^no such table: (?:main\.)?(\w+)$/.exec(message)?.[1];
    return name === undefined
      ? /^(table|index) \w+ already exists/.test(message)
      : this.#tables.has(name);
  }

  #damage(what: string, cause?: unknown): KilnError {
    const error = damaged(
      this.path,
      `the store's index is damaged: ${what}`,
      'run the command again: the index is then rebuilt from the layers and blobs on disk',
      cause,
    );
    this.#damages.add(error);
    return error;
  }
}

/**
 * The reason why the file cannot be opened, which SQLite does not give. Undefined when it can be
 * opened.
 */
function openError(path: string): unknown {
  try {
    closeSync(openSync(path, 'r+'));
    return undefined;
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? undefined : error;
  }
}

/** Writes a log to disk. One that does not exist was written back. */
async function syncFile(path: string): Promise<void> {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  try {
    await datasync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Returns 0 for a file that does not exist. */
function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0;
}

/**
 * The file whose presence makes the next open rebuild the database. An earlier Kiln leaves it when
 * it finds damage.
 */
export function damageMarker(database: string): string {
  return `${database}.damaged`;
}

/** The primary result code of an error of node:sqlite, whose `errcode` may be an extended one. */
function resultCode(error: unknown): number | undefined {
  if (error instanceof Error && 'errcode' in error && typeof error.errcode === 'number')
    return error.errcode & 0xff;
  return undefined;
}
