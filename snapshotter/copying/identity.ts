import { readFileSync, writeFileSync } from 'node:fs';
import { pause } from '../../base/pause.ts';
import {
  birthOf,
  isAfter,
  type Stat,
  stat as statOf,
  type Timespec,
  utimensat,
} from '../sys/calls.ts';
import { AT, S } from '../sys/constants.ts';
import { decodeName, nameBytes } from '../sys/name-bytes.ts';

/**
 * # The state of a tree when it was handed out
 *
 * For each entry its *identity*: kind, mode, owner, size, times and inode number. Any change to a
 * file changes its ctime, which nobody can set. So an entry with the same identity is unchanged,
 * and its bytes need not be read. The record is a file beside the tree:
 *
 *     ctime before which identities can be trusted NUL, then for each entry: path NUL identity NUL
 */
export interface Recorded {
  readonly identity: string;
  /** The entries of a directory. */
  readonly children?: Map<string, Recorded>;
}

/** What the files of a tree are (see AssembleInput). */
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
 * For a directory the size and the mtime are left out, and the time of birth tells it from a later
 * one with the same inode number. The ctime comes last, because that of a directory changes with
 * its entries.
 */
export function identityText(dir: number, name: string, stat: Stat, files: FilesAre): string {
  const isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
  const { mode, uid, gid, ino, rdevMajor, rdevMinor, size, mtime, ctime } = stat;
  const own = isDirectory ? birthOf(dir, name) : `${size},${mtime.sec}.${mtime.nsec}`;
  // Another tree may have made or removed another name of the same file meanwhile, which changes
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
    this.#parts.push(
      nameBytes(path),
      NUL,
      Buffer.from(identityText(dir, name, stat, this.#files)),
      NUL,
    );
  }

  /**
   * Writes the record to the new file `file`. First it waits a short time until the clock of the
   * file system has passed the last change.
   */
  write(file: string): void {
    writeFileSync(file, '', { mode: 0o600 });
    const now = tick(file, this.#latest);
    writeFileSync(file, Buffer.concat([Buffer.from(`${now.sec}.${now.nsec}\0`), ...this.#parts]));
  }
}

const NUL = Buffer.of(0);
/**
 * The coarsest clock that is waited for: HZ=100 gives 10 ms. Where the clock ticks in seconds,
 * bytes are compared instead.
 */
const MAX_WAIT_MS = 50;
/**
 * A ctime of the file system that is later than `latest`. It is `latest` itself when the clock does
 * not advance in time.
 */
function tick(file: string, latest: Timespec): Timespec {
  const end = Date.now() + MAX_WAIT_MS;
  do {
    utimensat(AT.FDCWD, file, EPOCH, EPOCH, 0);
    const { ctime } = statOf(AT.FDCWD, file);
    if (isAfter(ctime, latest)) return ctime;
    pause(1);
  } while (Date.now() < end);
  return latest;
}

const EPOCH: Timespec = { sec: 0, nsec: 0 };

/** Reads the record that IdentityRecorder wrote to `file`. */
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
  // A directory comes before its entries.
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
