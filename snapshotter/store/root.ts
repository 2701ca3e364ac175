import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';
import { makeDirectory } from '../sys/makedirectory.ts';
import { Database, damageMarker } from './database.ts';
import { CONDEMNED_TABLES, Lease } from './leases.ts';
import { makeOwn, putOwn, readOwn } from './own-file.ts';
import { thisOwner } from './owner.ts';
import { leftovers, Scratch, type ScratchDir, sweep } from './scratch.ts';
import { guarded, unwritable } from './store-errors.ts';

/**
 * The format that this code reads and writes. It is raised when an older Kiln could misread the
 * directory, not for a new table.
 */
const FORMAT = 1;

const DATABASE = 'kiln.db';

/**
 * # The store directory
 *
 *     VERSION          the format's number
 *     kiln.db          SQLite (WAL): the tables of every service
 *     blobs/sha256/    blobs by digest (content.ts)
 *     layers/ID/       committed layers: fs/, or over/ for a version, layer.json
 *                      (../overlay/), and for some a trail (../layer/trail.ts)
 *     tmp/OWNER/       what a live process works on; that of a dead owner is removed when
 *                      a store is opened next
 *     logs/            one file for each build
 *     leases/          what each live process uses (leases.ts)
 *
 * Truth is what lies in blobs/ and layers/, which becomes visible only by rename. The database can
 * be rebuilt from it.
 */
export interface Store extends Disposable {
  /** An absolute path. */
  readonly root: string;
  readonly blobs: string;
  readonly layers: string;
  readonly tmp: string;
  readonly logs: string;
  readonly db: Database;
  /** The names that this process uses, so that no other process removes them. */
  readonly lease: Lease;
  /**
   * Sentences for the user about what had to be repaired, in opening and later. They are collected
   * until somebody listens.
   */
  readonly warnings: readonly string[];
  /** Tells the user a sentence, each at most once. It needs no `this`. */
  readonly warn: (sentence: string) => void;
  /** Passes the warnings so far to `listener`, and each later one as it comes. */
  onWarning(listener: (sentence: string) => void): void;
  /** Settles when the leftovers of dead processes are removed. Nothing has to wait for it. */
  readonly swept: Promise<void>;
  /**
   * Brings the tables of one service up to date. `statements` is the service's whole, append-only
   * history. Those that were not applied yet are applied in one transaction. Throws
   * KILN_STORE_NEWER when the store has applied more statements than these.
   */
  migrate(service: string, statements: readonly string[]): void;
  /**
   * Makes a service compare its files on disk with its table, by `recover`. This happens now if a
   * process died at work, or the index was made again, and the service has not recovered since. It
   * happens again whenever the index is made again while the service is open.
   */
  recovering(service: string, recover: () => void): void;
  /** Makes every open service compare its directory with its table once more. */
  recoverAll(): void;
  /**
   * Says that a change of files was made without the change of the index that belongs to it, or the
   * other way round, because the disk was full for instance. The services recover when the store
   * is opened next. Writes nothing now. Call it only after `scratchPath` was called.
   */
  recoverLater(): void;
  /** Makes the index again from what is on disk, with a warning that says why. */
  renewIndex(why: string): void;
  /** A new path in this process's part of `tmp/`, on the same file system as blobs and layers. */
  scratchPath(label: string): string;
  scratch(label: string): ScratchDir;
  /** Closes the database and removes this process's scratch space. */
  close(): void;
  /** The same, for a process that ends right after: see `Database.leave`. */
  leave(): Promise<void>;
}

/**
 * Opens the store at the absolute `path`, and makes one when the directory is missing or empty.
 * Takes about 2 ms for an existing one. Throws KILN_STORE_NEWER, KILN_STORE_NOT_A_STORE,
 * KILN_STORE_UNWRITABLE or KILN_DISK_FULL.
 */
export function openStore(path: string): Store {
  const lost = lostVersion(path);
  if (lost) writeVersion(path);
  const { db, warning } = isStore(path) ? openDatabase(path) : createStore(path);
  try {
    const store = new OpenStore(path, db, warning);
    if (lost) store.warn(`the store's VERSION file ${lost} and was written again`);
    return store;
  } catch (error) {
    db.close();
    throw error;
  }
}

class OpenStore implements Store {
  readonly root: string;
  readonly blobs: string;
  readonly layers: string;
  readonly tmp: string;
  readonly logs: string;
  readonly db: Database;
  readonly lease: Lease;
  readonly warnings: string[];
  readonly swept: Promise<void>;
  readonly #scratch: Scratch;
  readonly #warned = new Set<string>();
  #listener: ((sentence: string) => void) | undefined;
  /** The tables of the services that were asked for, to make them again in a new index. */
  readonly #tables = new Map<string, readonly string[]>();
  readonly #recover = new Map<string, () => void>();
  #services = new Map<string, number>();
  /** Tables of open services. */
  readonly #known = new Set(['rooms', 'recovery']);
  /**
   * The names of existing tables and indices. They are read once: whatever is missing now was
   * missing before.
   */
  #objects = new Set<string>();
  #recovery: { generation: number; done: Map<string, number> } = { generation: 0, done: new Map() };

  constructor(root: string, db: Database, warning: string | undefined) {
    this.root = root;
    this.blobs = join(root, 'blobs', 'sha256');
    this.layers = join(root, 'layers');
    this.tmp = join(root, 'tmp');
    this.logs = join(root, 'logs');
    this.db = db;
    this.warnings = warning === undefined ? [] : [warning];
    this.#scratch = new Scratch(this.tmp);
    const dead = leftovers(this.tmp);
    db.healWith((damage) => this.#heal(damage), this.#known);
    // This is recorded before anything is swept. If this process dies too, the services still learn
    // that they must check their files.
    if (dead.length > 0 || warning !== undefined) countRecovery(db);
    this.#readServices();
    this.swept = dead.length > 0 ? sweep(dead) : Promise.resolve();
    this.migrate('collection', CONDEMNED_TABLES);
    this.lease = new Lease(root, db);
  }

  readonly warn = (sentence: string): void => {
    if (this.#warned.has(sentence)) return;
    this.#warned.add(sentence);
    if (this.#listener) this.#listener(sentence);
    else this.warnings.push(sentence);
  };

  onWarning(listener: (sentence: string) => void): void {
    this.#listener = listener;
    for (const sentence of this.warnings.splice(0)) listener(sentence);
  }

  migrate(service: string, statements: readonly string[]): void {
    // Checked once, when the service is opened.
    const lost =
      this.#tables.has(service) || this.#services.get(service) !== statements.length
        ? undefined
        : this.#lostOf(statements);
    this.#tables.set(service, statements);
    if (lost !== undefined) this.db.renew(`it has no ${lost}`);
    if (this.#services.get(service) !== statements.length) this.#apply(service, statements);
    for (const [, name = ''] of statements.join(';').matchAll(/\bCREATE TABLE (\w+)/g))
      this.#known.add(name);
  }

  #apply(service: string, statements: readonly string[]): void {
    this.db.transaction(() => {
      // Read again under the write lock, because another process may have done it meanwhile.
      const row = this.db.get<{ version: number }>(
        'SELECT version FROM rooms WHERE room = ?',
        service,
      );
      const applied = Number(row?.version ?? 0);
      if (applied > statements.length) throw newerStore(this.root, `its ${service} tables`);
      for (const statement of statements.slice(applied)) this.db.exec(statement);
      this.db.run(
        'INSERT OR REPLACE INTO rooms (room, version) VALUES (?, ?)',
        service,
        statements.length,
      );
    });
    this.#services.set(service, statements.length);
  }

  recovering(service: string, recover: () => void): void {
    this.#recover.set(service, recover);
    if ((this.#recovery.done.get(service) ?? 0) < this.#recovery.generation)
      this.#recoverNow(service, recover);
  }

  recoverAll(): void {
    for (const [service, recover] of this.#recover) this.#recoverNow(service, recover);
  }

  recoverLater(): void {
    this.#scratch.keep();
  }

  renewIndex(why: string): void {
    this.db.renew(why);
  }

  #recoverNow(service: string, recover: () => void): void {
    const { generation } = this.#recovery;
    recover();
    this.db.run(
      'INSERT OR REPLACE INTO recovery (room, generation) VALUES (?, ?)',
      service,
      generation,
    );
    this.#recovery.done.set(service, generation);
  }

  #readServices(): void {
    this.#services = new Map(
      this.db
        .all<{ room: string; version: number }>('SELECT room, version FROM rooms')
        .map(({ room, version }) => [room, version]),
    );
    this.#objects = new Set(
      this.db.all<{ name: string }>('SELECT name FROM sqlite_schema').map(({ name }) => name),
    );
    this.#recovery = readRecovery(this.db);
  }

  /** The first table or index of a service's history that is missing. */
  #lostOf(statements: readonly string[]): string | undefined {
    for (const statement of statements) {
      for (const [what, , name = ''] of statement.matchAll(/\bCREATE (TABLE|INDEX) (\w+)/g))
        if (!this.#objects.has(name)) return what.slice('CREATE '.length).toLowerCase();
    }
    return undefined;
  }

  /** The index is damaged, or another process has found damage and replaced the file. */
  #heal(damage: KilnError | undefined): void {
    if (damage && this.db.isInPlace) this.warn(rebuilt('was damaged', setAside(this.db.path)));
    this.db.reopen();
    createTables(this.db);
    if (damage) countRecovery(this.db);
    this.#readServices();
    for (const [service, statements] of this.#tables) this.migrate(service, statements);
    this.recoverAll();
  }

  scratchPath(label: string): string {
    return this.#scratch.path(label);
  }

  scratch(label: string): ScratchDir {
    return this.#scratch.directory(label);
  }

  close(): void {
    this.#rest();
    this.db.close();
  }

  async leave(): Promise<void> {
    this.#rest();
    await this.db.leave();
  }

  #rest(): void {
    this.#scratch.clear();
    this.lease.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function countRecovery(db: Database): void {
  db.run('UPDATE recovery SET generation = generation + 1 WHERE room = ?', '');
}

/**
 * The row of the service '' counts the events after which services must recover. A service's own
 * row says up to which event it has.
 */
function readRecovery(db: Database): { generation: number; done: Map<string, number> } {
  const done = new Map(
    db
      .all<{ room: string; generation: number }>('SELECT room, generation FROM recovery')
      .map((row) => [row.room, row.generation]),
  );
  return { generation: done.get('') ?? 0, done };
}

/** True when `root` is a store of this format. Throws for a later format. */
function isStore(root: string): boolean {
  const version = readVersion(root);
  if (version !== undefined && version > FORMAT) throw newerStore(root, `its format ${version}`);
  return version !== undefined;
}

/**
 * Makes a store. Two processes may do this at once. VERSION is written last: a directory that has
 * it has everything.
 */
function createStore(root: string): { db: Database; warning: undefined } {
  refuseForeign(root);
  guarded(root, () => {
    makeDirectory(root, 0o700);
    makeDirectories(root);
  });
  const db = openTables(join(root, DATABASE), true);
  writeVersion(root);
  return { db, warning: undefined };
}

function writeVersion(root: string): void {
  guarded(root, () => {
    const temporary = join(root, `VERSION.${thisOwner()}`);
    writeFileSync(temporary, `${FORMAT}\n`);
    putOwn(temporary, join(root, 'VERSION'));
  });
}

/**
 * What happened to the VERSION file of a directory that is otherwise a store, such as a power cut
 * that left the file empty. A store that another process is just making holds only its first files.
 */
function lostVersion(root: string): string | undefined {
  const text = versionText(root);
  if (text !== undefined && isTrusted(text)) return undefined;
  if (!['blobs/sha256', 'layers', 'tmp'].every((name) => existsSync(join(root, name))))
    return undefined;
  const used = readdirSync(root).some((name) =>
    /^(images\.json|written-back|statcache|caches|collected)$/.test(name),
  );
  if (!used) return undefined;
  return text === undefined ? 'was missing' : 'was damaged';
}

/** Undefined for a file that cannot be read, which is reported later. */
function versionText(root: string): string | undefined {
  try {
    return readOwn(join(root, 'VERSION'))?.toString('latin1');
  } catch {
    return '0';
  }
}

/** Trusts a whole number, and what seems to be from a later format, whatever its form. */
function isTrusted(text: string): boolean {
  const number = Number(/^\s*(\d+)/.exec(text)?.[1] ?? Number.NaN);
  return number > FORMAT || VERSION.test(text.trim());
}

const VERSION = /^[1-9]\d{0,5}$/;

/**
 * Makes the directories. Returns those that were missing although the index refers to their files.
 */
function makeDirectories(root: string): string[] {
  const make = (name: string) => makeOwn(join(root, name));
  for (const name of ['tmp', 'logs', 'leases', 'blobs']) make(name);
  return ['blobs/sha256', 'layers'].filter(make);
}

function readVersion(root: string): number | undefined {
  try {
    const text = readFileSync(join(root, 'VERSION'), 'latin1').trim();
    if (VERSION.test(text)) return Number(text);
    throw notAStore(root, 'its VERSION file does not hold a number');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    if (errnoOf(error) === 'ENOTDIR') throw notAStore(root, 'it is not a directory');
    throw unusable(root, error);
  }
}

function unusable(root: string, error: unknown): unknown {
  if (errnoOf(error) === 'EACCES') return unwritable(root, error);
  return osError(error, {
    code: 'KILN_STORE_UNWRITABLE',
    what: 'the store cannot be opened',
    path: root,
  });
}

/**
 * What a store may hold before it has VERSION (another process is just making it), and what a new
 * file system holds.
 */
const STORE_NAMES = /^(VERSION\..*|blobs|layers|tmp|logs|leases|kiln\.db.*|lost\+found)$/;

function refuseForeign(root: string): void {
  let names: string[];
  try {
    names = readdirSync(root);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw unusable(root, error);
  }
  const foreign = names.find((name) => !STORE_NAMES.test(name));
  if (foreign !== undefined)
    throw notAStore(root, `it holds ${JSON.stringify(foreign)} but no VERSION file`);
}

/**
 * Opens the database. A damaged or missing one is made again, and the services fill it from what is
 * on disk. Only cache records are lost, and their steps run once more.
 */
function openDatabase(root: string): { db: Database; warning: string | undefined } {
  const gone = guarded(root, () => makeDirectories(root));
  const path = join(root, DATABASE);
  if (!existsSync(path)) return { db: openTables(path, true), warning: rebuilt('was missing') };
  if (!existsSync(damageMarker(path)) && !isCut(path)) {
    try {
      const warning =
        gone.length > 0
          ? `${gone.join(' and ')} of the store was missing: its contents are made again when ` +
            'they are needed'
          : undefined;
      return { db: openTables(path, false), warning };
    } catch (error) {
      if (!(error instanceof KilnError) || error.code !== 'KILN_STORE_DAMAGED') throw error;
    }
  }
  const aside = setAside(path);
  return { db: openTables(path, true), warning: rebuilt('was damaged', aside) };
}

function rebuilt(what: string, aside?: string): string {
  const kept = aside === undefined ? '' : `; the old file is ${aside}`;
  return `the store's index ${what} and has been rebuilt from what is on disk${kept}`;
}

/** SQLite's unit of writing. The size of an intact file is a multiple of it. */
const PAGE = 4096;

/**
 * True for a file that lost a part of its last page, which SQLite reads as zeros, and for something
 * that is not a file. An interrupted write-back can be completed and is not damage.
 */
function isCut(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat && !stat.isFile()) return true;
  if ((stat?.size ?? 0) % PAGE === 0) return false;
  return (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0;
}

function openTables(path: string, create: boolean): Database {
  const db = new Database(path, create);
  try {
    if (create) createTables(db);
    // The first read of an existing file, which finds files that are not a database.
    else db.get('SELECT count(*) AS n FROM rooms');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function createTables(db: Database): void {
  db.transaction(() => {
    // A service was called a room when the first stores were made, which have these tables.
    db.exec(
      'CREATE TABLE IF NOT EXISTS rooms (room TEXT PRIMARY KEY, version INTEGER ' +
        'NOT NULL) WITHOUT ROWID',
    );
    db.exec(
      'CREATE TABLE IF NOT EXISTS recovery (room TEXT PRIMARY KEY, generation INTEGER NOT ' +
        'NULL) WITHOUT ROWID',
    );
    db.run("INSERT OR IGNORE INTO recovery (room, generation) VALUES ('', 0)");
  });
}

/**
 * Moves a damaged index out of the way, its log first, so that the log is never used for a new
 * file. Returns the new path.
 */
function setAside(path: string): string {
  const aside = `${path}.damaged-${Date.now().toString(36)}`;
  for (const suffix of ['-wal', '-shm', '']) {
    try {
      guarded(path, () => renameSync(path + suffix, aside + suffix));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }
  rmSync(damageMarker(path), { force: true });
  return aside;
}

function newerStore(root: string, what: string): KilnError {
  return new KilnError(
    'KILN_STORE_NEWER',
    `the store was written by a newer kiln: this one does not know ${what}`,
    {
      place: { kind: 'path', path: root },
      hint: 'upgrade kiln, or use another store with --root or KILN_ROOT',
    },
  );
}

function notAStore(root: string, why: string): KilnError {
  return new KilnError('KILN_STORE_NOT_A_STORE', `${root} is not a kiln store: ${why}`, {
    place: { kind: 'path', path: root },
    hint: 'choose an empty or new directory with --root or KILN_ROOT',
  });
}
