import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';
import { makeDirectory } from '../sys/makedirectory.ts';
import { Database, damageMarker } from './database.ts';
import { CONDEMNED_TABLES, Lease } from './leases.ts';
import { thisOwner } from './owner.ts';
import { leftovers, Scratch, type ScratchDir, sweep } from './scratch.ts';
import { guarded, unwritable } from './store-errors.ts';

/**
 * The format this code reads and writes. It goes up when an older Kiln could misread the directory,
 * not for a new table.
 */
const FORMAT = 1;

const DATABASE = 'kiln.db';

/**
 * # The store directory
 *
 *     VERSION          the format's number
 *     kiln.db          SQLite (WAL): the tables of every service
 *     blobs/sha256/    blobs by digest (content.ts)
 *     layers/ID/       committed layers: fs/, layer.json (../overlay/), and for some
 *                      a trail (../layer/trail.ts)
 *     tmp/OWNER/       what a live process works on; that of a dead owner is removed when
 *                      a store is opened next
 *     logs/            one file for each build
 *     leases/          what each live process uses (leases.ts)
 *
 * Truth is what lies in blobs/ and layers/, which becomes visible only by rename. The database can
 * be rebuilt from it.
 */
export interface Store extends Disposable {
  /** Absolute. */
  readonly root: string;
  readonly blobs: string;
  readonly layers: string;
  readonly tmp: string;
  readonly logs: string;
  readonly db: Database;
  /** What this process uses, so that no other takes it away. */
  readonly lease: Lease;
  /**
   * Sentences for the user about what had to be mended, in opening and later, until somebody
   * listens.
   */
  readonly warnings: readonly string[];
  /** Tells the user, each sentence once. Needs no `this`. */
  readonly warn: (sentence: string) => void;
  /** Hands over the warnings so far, and each later one as it comes. */
  onWarning(listener: (sentence: string) => void): void;
  /**
   * Settles when the leftovers of dead processes, if there were any, are gone. Nothing has to wait
   * for it.
   */
  readonly swept: Promise<void>;
  /**
   * Brings the tables of one service up to date: `statements` is the service's whole history,
   * append-only; those not yet applied are applied in one transaction. Throws KILN_STORE_NEWER when
   * the store knows more of them.
   */
  migrate(service: string, statements: readonly string[]): void;
  /**
   * Compares what a service has on disk with its table, by `recover`: now, when a process died in
   * the middle of its work or the index was made anew and this service has not done it yet, and
   * again whenever the index is made anew while it is open.
   */
  recovering(service: string, recover: () => void): void;
  /** Has every service that is open compare its directory with its table once more. */
  recoverAll(): void;
  /** Begins the index anew from what is on disk, with a warning that says why. */
  renewIndex(why: string): void;
  /** A new path in our part of `tmp/`, on the same file system as blobs and layers. */
  scratchPath(label: string): string;
  scratch(label: string): ScratchDir;
  /** Closes the database and removes our scratch space. */
  close(): void;
}

/**
 * Opens the store at the absolute `path`, creating it when the directory is absent or empty. About
 * 2 ms for an existing one. Throws KILN_STORE_NEWER, KILN_STORE_NOT_A_STORE, KILN_STORE_UNWRITABLE
 * or KILN_DISK_FULL.
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
  readonly #told = new Set<string>();
  #listener: ((sentence: string) => void) | undefined;
  /** The tables of the services that were asked for, and what fills those of a new index. */
  readonly #tables = new Map<string, readonly string[]>();
  readonly #recover = new Map<string, () => void>();
  #services = new Map<string, number>();
  /** Tables of services that are open. */
  readonly #known = new Set(['rooms', 'recovery']);
  /**
   * Tables and indices that there are, by their names. Read once: whatever is missing was missing
   * before.
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
    // Written before anything is swept: if we die too, the services still learn that there is
    // something to look at.
    if (dead.length > 0 || warning !== undefined) countRecovery(db);
    this.#readServices();
    this.swept = dead.length > 0 ? sweep(dead) : Promise.resolve();
    this.migrate('collection', CONDEMNED_TABLES);
    this.lease = new Lease(root, db);
  }

  readonly warn = (sentence: string): void => {
    if (this.#told.has(sentence)) return;
    this.#told.add(sentence);
    if (this.#listener) this.#listener(sentence);
    else this.warnings.push(sentence);
  };

  onWarning(listener: (sentence: string) => void): void {
    this.#listener = listener;
    for (const sentence of this.warnings.splice(0)) listener(sentence);
  }

  migrate(service: string, statements: readonly string[]): void {
    // Looked at once, when the service is opened.
    const lost =
      this.#tables.has(service) || this.#services.get(service) !== statements.length ? undefined : this.#lostOf(statements);
    this.#tables.set(service, statements);
    if (lost !== undefined) this.db.renew(`it has no ${lost}`);
    if (this.#services.get(service) !== statements.length) this.#apply(service, statements);
    for (const [, name = ''] of statements.join(';').matchAll(/\bCREATE TABLE (\w+)/g)) this.#known.add(name);
  }

  #apply(service: string, statements: readonly string[]): void {
    this.db.transaction(() => {
      // Read again under the write lock: another process may have done it meanwhile.
      const row = this.db.get<{ version: number }>('SELECT version FROM rooms WHERE room = ?', service);
      const applied = Number(row?.version ?? 0);
      if (applied > statements.length) throw newerStore(this.root, `its ${service} tables`);
      for (const statement of statements.slice(applied)) this.db.exec(statement);
      this.db.run('INSERT OR REPLACE INTO rooms (room, version) VALUES (?, ?)', service, statements.length);
    });
    this.#services.set(service, statements.length);
  }

  recovering(service: string, recover: () => void): void {
    this.#recover.set(service, recover);
    if ((this.#recovery.done.get(service) ?? 0) < this.#recovery.generation) this.#recoverNow(service, recover);
  }

  recoverAll(): void {
    for (const [service, recover] of this.#recover) this.#recoverNow(service, recover);
  }

  renewIndex(why: string): void {
    this.db.renew(why);
  }

  #recoverNow(service: string, recover: () => void): void {
    const { generation } = this.#recovery;
    recover();
    this.db.run('INSERT OR REPLACE INTO recovery (room, generation) VALUES (?, ?)', service, generation);
    this.#recovery.done.set(service, generation);
  }

  #readServices(): void {
    this.#services = new Map(
      this.db
        .all<{ room: string; version: number }>('SELECT room, version FROM rooms')
        .map(({ room, version }) => [room, version]),
    );
    this.#objects = new Set(this.db.all<{ name: string }>('SELECT name FROM sqlite_schema').map(({ name }) => name));
    this.#recovery = readRecovery(this.db);
  }

  /** The first table or index of a service's history that is not there. */
  #lostOf(statements: readonly string[]): string | undefined {
    for (const statement of statements) {
      for (const [what, , name = ''] of statement.matchAll(/\bCREATE (TABLE|INDEX) (\w+)/g))
        if (!this.#objects.has(name)) return what.slice('CREATE '.length).toLowerCase();
    }
    return undefined;
  }

  /** The index is damaged, or another process has found it so and put a new one there. */
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
    this.#scratch.clear();
    this.lease.close();
    this.db.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function countRecovery(db: Database): void {
  db.run('UPDATE recovery SET generation = generation + 1 WHERE room = ?', '');
}

/**
 * The row of the service '' counts the events that services have to recover from; a service's own
 * row says up to which it has.
 */
function readRecovery(db: Database): { generation: number; done: Map<string, number> } {
  const done = new Map(
    db
      .all<{ room: string; generation: number }>('SELECT room, generation FROM recovery')
      .map((row) => [row.room, row.generation]),
  );
  return { generation: done.get('') ?? 0, done };
}

/** Whether `root` is a store of our format; throws for one of a later format. */
function isStore(root: string): boolean {
  const version = readVersion(root);
  if (version !== undefined && version > FORMAT) throw newerStore(root, `its format ${version}`);
  return version !== undefined;
}

/**
 * Two processes may do this at once. VERSION comes last: a directory that has it has everything.
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
    renameSync(temporary, join(root, 'VERSION'));
  });
}

/**
 * What befell the VERSION file of a directory that is a store by all else, such as a power cut that
 * left it empty. A number in it is believed. A store that another process is just making has only
 * what it begins with.
 */
function lostVersion(root: string): string | undefined {
  let text: string | undefined;
  try {
    text = readFileSync(join(root, 'VERSION'), 'latin1');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') return undefined;
  }
  if (text !== undefined && /^\s*\d/.test(text)) return undefined;
  if (!['blobs/sha256', 'layers', 'tmp'].every((name) => existsSync(join(root, name)))) return undefined;
  const used = readdirSync(root).some((name) => /^(images\.json|written-back|statcache|caches|collected)$/.test(name));
  if (!used) return undefined;
  return text === undefined ? 'was missing' : 'was damaged';
}

/** Answers those that were not there and held something that the index speaks of. */
function makeDirectories(root: string): string[] {
  const make = (name: string) => makeDirectory(join(root, name), 0o700);
  for (const name of ['tmp', 'logs', 'leases']) make(name);
  return ['blobs/sha256', 'layers'].filter(make);
}

function readVersion(root: string): number | undefined {
  try {
    const text = readFileSync(join(root, 'VERSION'), 'latin1').trim();
    if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
    throw notAStore(root, 'its VERSION file does not hold a number');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    if (errnoOf(error) === 'ENOTDIR') throw notAStore(root, 'it is not a directory');
    throw unusable(root, error);
  }
}

function unusable(root: string, error: unknown): unknown {
  if (errnoOf(error) === 'EACCES') return unwritable(root, error);
  return osError(error, { code: 'KILN_STORE_UNWRITABLE', what: 'the store cannot be opened', path: root });
}

/**
 * What a store may hold before its VERSION is there (another process is just making it), and what a
 * fresh file system holds.
 */
const HARMLESS = /^(VERSION\..*|blobs|layers|tmp|logs|leases|kiln\.db.*|lost\+found)$/;

function refuseForeign(root: string): void {
  let names: string[];
  try {
    names = readdirSync(root);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw unusable(root, error);
  }
  const foreign = names.find((name) => !HARMLESS.test(name));
  if (foreign !== undefined) throw notAStore(root, `it holds ${JSON.stringify(foreign)} but no VERSION file`);
}

/**
 * Opens the database; one that is damaged or gone is begun anew, for the services to fill from what
 * is on disk. Nothing is lost that the disk does not tell again, except cache records: the steps
 * they stand for run once more.
 */
function openDatabase(root: string): { db: Database; warning: string | undefined } {
  const gone = guarded(root, () => makeDirectories(root));
  const path = join(root, DATABASE);
  if (!existsSync(path)) return { db: openTables(path, true), warning: rebuilt('was missing') };
  if (!existsSync(damageMarker(path)) && !isCut(path)) {
    try {
      const warning =
        gone.length > 0
          ? `${gone.join(' and ')} of the store was missing: what it held is made again when it is needed`
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

/** What SQLite writes at once: the size of a sound file is a multiple of it. */
const PAGE = 4096;

/**
 * True for a file that lost a part of its last page, which SQLite reads as zeros, and for what is
 * not a file at all. A write-back that was cut short can be finished: no damage.
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
    // The first read of an existing file: this is where "not a database" shows.
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
    db.exec('CREATE TABLE IF NOT EXISTS rooms (room TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID');
    db.exec('CREATE TABLE IF NOT EXISTS recovery (room TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID');
    db.run("INSERT OR IGNORE INTO recovery (room, generation) VALUES ('', 0)");
  });
}

/**
 * Moves a damaged index out of the way, its log first, so that the log is never taken for that of a
 * new file. Answers where to.
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
  return new KilnError('KILN_STORE_NEWER', `the store was written by a newer kiln: this one does not know ${what}`, {
    place: { kind: 'path', path: root },
    hint: 'upgrade kiln, or use another store with --root or KILN_ROOT',
  });
}

function notAStore(root: string, why: string): KilnError {
  return new KilnError('KILN_STORE_NOT_A_STORE', `${root} is not a kiln store: ${why}`, {
    place: { kind: 'path', path: root },
    hint: 'choose an empty or new directory with --root or KILN_ROOT',
  });
}
