import { readFileSync, writeFileSync } from 'node:fs';
import { birthOf, type Stat, stat as statOf, type Timespec, utimensat } from '../sys/calls.ts';
import { AT, S } from '../sys/constants.ts';
import { decodeName, nameBytes } from '../sys/name-bytes.ts';

/**
 * # What a tree was like when it was handed out
 *
 * For each entry its *identity*: kind, mode, owner, size, times and inode number. Any change to a
 * file changes its ctime, which nobody can set; so an entry of the same identity is the same,
 * without a look at its bytes. The record is a file beside the tree:
 *
 *     ctime before which identities can be trusted NUL, then for each entry: path NUL identity NUL
 */
export interface Recorded {
  readonly identity: string;
  /** Of a directory. */
  readonly children?: Map<string, Recorded>;
}

/** What the files of a tree are: see AssembleInput. */
export type FilesAre = 'link' | 'copy';

export interface RecordedTree {
  /**
   * An entry whose ctime is not before this may have been written to at the very instant at which
   * it was recorded.
   */
  readonly trusted: Timespec;
  readonly top: Map<string, Recorded>;
}

/**
 * Of a directory the size and the mtime are left out, and its birth tells it from another that got
 * its inode number. The ctime comes last: of a directory it changes with what is in it.
 */
export function identityText(dir: number, name: string, stat: Stat, files: FilesAre): string {
  const isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
  const { mode, uid, gid, ino, rdevMajor, rdevMinor, size, mtime, ctime } = stat;
  const own = isDirectory ? birthOf(dir, name) : `${size},${mtime.sec}.${mtime.nsec}`;
  // Another tree may have made or removed a further name of the same file meanwhile, which changes
  // its ctime.
  const change = files === 'link' && !isDirectory ? '' : `${ctime.sec}.${ctime.nsec}`;
  return `${mode} ${uid} ${gid} ${ino},${rdevMajor},${rdevMinor},${own} ${change}`;
}

/** Collects identities, to be written once. */
export class IdentityRecorder {
  readonly #parts: Buffer[] = [];
  readonly #files: FilesAre;
  #latest: Timespec = { sec: 0, nsec: 0 };

  constructor(files: FilesAre) {
    this.#files = files;
  }

  add(dir: number, name: string, path: string, stat: Stat): void {
    if (isAfter(stat.ctime, this.#latest)) this.#latest = stat.ctime;
    this.#parts.push(nameBytes(path), NUL, Buffer.from(identityText(dir, name, stat, this.#files)), NUL);
  }

  /**
   * Writes the record to the new file `file`, once the clock of its file system has moved on from
   * the last change, if that is soon.
   */
  write(file: string): void {
    writeFileSync(file, '', { mode: 0o600 });
    const now = tick(file, this.#latest);
    writeFileSync(file, Buffer.concat([Buffer.from(`${now.sec}.${now.nsec}\0`), ...this.#parts]));
  }
}

const NUL = Buffer.of(0);
/**
 * The coarsest clock that is waited for: HZ=100 gives 10 ms. Where it ticks in seconds, bytes are
 * compared instead.
 */
const PATIENCE_MS = 50;
const nap = new Int32Array(new SharedArrayBuffer(4));

/**
 * A ctime of the file system that is later than `latest`; or `latest`, when its clock does not move
 * in time.
 */
function tick(file: string, latest: Timespec): Timespec {
  const end = Date.now() + PATIENCE_MS;
  do {
    utimensat(AT.FDCWD, file, EPOCH, EPOCH, 0);
    const { ctime } = statOf(AT.FDCWD, file);
    if (isAfter(ctime, latest)) return ctime;
    Atomics.wait(nap, 0, 0, 1);
  } while (Date.now() < end);
  return latest;
}

const EPOCH: Timespec = { sec: 0, nsec: 0 };

export function isAfter(a: Timespec, b: Timespec): boolean {
  return a.sec > b.sec || (a.sec === b.sec && a.nsec > b.nsec);
}

export function readIdentities(file: string): RecordedTree {
  const bytes = readFileSync(file);
  const fields: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    fields.push(decodeName(bytes.subarray(at, end)));
    at = end + 1;
  }
  const [sec = 0, nsec = 0] = fields[0]!.split('.').map(Number);
  const top = new Map<string, Recorded>();
  // A directory comes before what it holds.
  for (let at = 1; at + 1 < fields.length; at += 2) {
    const names = fields[at]!.split('/');
    let children = top;
    for (const name of names.slice(0, -1)) children = children.get(name)!.children!;
    const identity = fields[at + 1]!;
    const isDirectory = (Number(identity.slice(0, identity.indexOf(' '))) & S.IFMT) === S.IFDIR;
    children.set(names.at(-1)!, isDirectory ? { identity, children: new Map() } : { identity });
  }
  return { trusted: { sec, nsec }, top };
}
