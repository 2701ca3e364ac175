import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '../../base/digest.ts';
import { errnoOf } from '../../base/errors.ts';
import type { Database } from './database.ts';
import { readOwn } from './own-file.ts';
import { isAlive, thisOwner } from './owner.ts';
import { guarded } from './store-errors.ts';

/**
 * # Leases: what a collector must not remove
 *
 * A process writes the name of a layer or blob into its lease file *before* it checks whether the
 * thing exists. A collector puts up the *gate* before it reads the leases, and decides within one
 * write transaction. So a user and a collector at the same time always notice each other:
 *
 * - If the gate was not up when the user looked, the collector reads a lease with the name in it.
 * - If it was up, the user looks inside a transaction of its own. When that is before the decision,
 *   the collector then reads the lease. When it is after the decision, the user sees that the thing
 *   is gone.
 *
 * The lease file of a dead process means nothing (owner.ts). See docs/decisions/008.
 *
 *     leases/OWNER-N     a line for each name: `l` and a layer's id, `b` and a blob's 64 hex digits
 *     leases/gate        exists while a collection decides
 *
 * *Condemned* things are chosen for removal and not yet removed: their rows are gone, but their
 * files exist.
 */
export const CONDEMNED_TABLES = ['CREATE TABLE condemned (name TEXT PRIMARY KEY) WITHOUT ROWID'];

const GATE = 'gate';

/** The name of a blob in leases. */
export function blobHold(digest: Digest): string {
  return `b${hexOf(digest)}`;
}

export function condemnedNames(db: Database): string[] {
  return db.all<{ name: string }>('SELECT name FROM condemned').map(({ name }) => name);
}

/** Two stores that were opened in one process have a lease each. */
let counter = 0;

/**
 * What this process uses. The file is made with the first name. A new name costs about 5 µs, and
 * nothing when it is already held.
 *
 * A name is held until all uses have ended that had begun when it was last claimed (`begin`).
 * Without any use it is held until the lease is closed, as in a command that does one thing.
 */
export class Lease {
  readonly #directory: string;
  readonly #db: Database;
  /** Each name that is held, with the number of the latest use when it was last claimed. */
  readonly #held = new Map<string, number>();
  /** The uses that have not ended, in the order of their beginning. */
  readonly #uses = new Set<number>();
  #begun = 0;
  #changes = 0;
  #fd: number | undefined;
  #path = '';

  constructor(root: string, db: Database) {
    this.#directory = join(root, 'leases');
    this.#db = db;
  }

  /**
   * Begins a use of the store, such as a build; dispose it at the end. What is claimed meanwhile
   * remains at least until then, whoever claims it.
   */
  begin(): Disposable {
    const use = ++this.#begun;
    this.#uses.add(use);
    this.#changes++;
    return {
      [Symbol.dispose]: () => {
        if (this.#uses.delete(use)) this.#release();
      },
    };
  }

  /**
   * A number that changes whenever a use begins or ends. Code that remembers that a name is held
   * must ask again then.
   */
  get version(): number {
    return this.#changes;
  }

  /**
   * Runs `body`, which looks up or adds the things called `names`. What it finds remains while the
   * names are held. `purpose` is about condemned things: with `restore` such a thing is kept and
   * used, and with `look` it counts as gone. `body` may run inside a transaction.
   */
  claim<T>(names: readonly string[], purpose: 'look' | 'restore', body: () => T): T {
    const fresh = names.filter((name) => !this.#held.has(name));
    if (fresh.length > 0) this.#write(fresh);
    for (const name of names) this.#held.set(name, this.#begun);
    if (fresh.length === 0 && purpose === 'look') return body();
    if (!existsSync(join(this.#directory, GATE))) return body();
    return this.#db.transaction(() => {
      if (purpose === 'restore')
        for (const name of names) this.#db.run('DELETE FROM condemned WHERE name = ?', name);
      return body();
    });
  }

  close(): void {
    this.#remove();
    this.#held.clear();
  }

  /**
   * Lets go of the names that no use has claimed which still runs. The names that stay are in the
   * new file before the old one goes.
   */
  #release(): void {
    this.#changes++;
    const [oldest = Number.POSITIVE_INFINITY] = this.#uses;
    const before = this.#held.size;
    for (const [name, claimed] of this.#held) if (claimed < oldest) this.#held.delete(name);
    if (this.#held.size === before) return;
    const [fd, path] = [this.#fd, this.#path];
    this.#fd = undefined;
    if (this.#held.size > 0) this.#write([...this.#held.keys()]);
    this.#remove(fd, path);
  }

  #remove(fd = this.#fd, path = this.#path): void {
    if (fd === undefined) return;
    closeSync(fd);
    rmSync(path, { force: true });
    if (fd === this.#fd) this.#fd = undefined;
  }

  #write(names: readonly string[]): void {
    guarded(this.#directory, () => {
      this.#fd ??= this.#open();
      writeSync(this.#fd, `${names.join('\n')}\n`);
    });
  }

  #open(): number {
    this.#path = join(this.#directory, `${thisOwner()}-${counter++}`);
    try {
      return openSync(this.#path, 'ax', 0o600);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      mkdirSync(this.#directory, { mode: 0o700 });
      return openSync(this.#path, 'ax', 0o600);
    }
  }
}

/**
 * Puts up the gate until it is disposed. The caller holds the collector's lock, so that only one
 * collector runs at a time. A gate that a killed collector left behind only makes look-ups a little
 * slower.
 */
export function raiseGate(root: string): Disposable {
  const gate = join(root, 'leases', GATE);
  mkdirSync(join(root, 'leases'), { recursive: true, mode: 0o700 });
  closeSync(openSync(gate, 'w', 0o600));
  return { [Symbol.dispose]: () => rmSync(gate, { force: true }) };
}

/** Everything that live processes use. Lease files of dead owners are removed. */
export function heldNames(root: string): Set<string> {
  const held = new Set<string>();
  const directory = join(root, 'leases');
  if (!existsSync(directory)) return held;
  for (const name of readdirSync(directory)) {
    if (name === GATE) continue;
    const path = join(directory, name);
    if (!isAlive(name.replace(/-\d+$/, ''), path)) {
      rmSync(path, { force: true });
      continue;
    }
    for (const line of linesOf(path)) held.add(line);
  }
  return held;
}

function linesOf(path: string): string[] {
  return (readOwn(path)?.toString('latin1') ?? '').split('\n').filter(Boolean);
}
