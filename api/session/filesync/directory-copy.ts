import {
  chmodSync,
  closeSync,
  fchmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import { futimens, utimensat } from '../../../snapshotter/sys/calls.ts';
import { AT } from '../../../snapshotter/sys/constants.ts';
import type { FileReceiver } from './diff-copy.ts';
import { GO_MODE, isDirectoryStat, permissionsOf, typeOf } from './go-mode.ts';
import { FEW, isBelieved, type KnownFile, type KnownFiles } from './known-files.ts';
import { type FileStat, modTimeOf } from './packet.ts';

/** Content up to this size is compared with what we have before it takes its place. */
const COMPARED = 1 << 20;
/** Content that waits in memory to be compared, of all files together. */
const MAX_WAITING = 16 << 20;

/**
 * Makes a directory of ours the same as one of a client, from what the client tells and sends.
 *
 * Paths need no care here: `receiveDirectory` has every file in a directory that was told before,
 * and a directory that was told is a real one of ours. A file that changes is a new file: whoever
 * remembers its digest by inode and times does not take it for the old one.
 */
export class DirectoryCopy implements FileReceiver {
  readonly #root: string;
  readonly #before: KnownFiles;
  readonly #now: KnownFiles = new Map();
  /** Directories with their times, which change when files are made in them. */
  readonly #directories: FileStat[] = [];
  readonly #believed: FileStat[] = [];
  readonly #links: FileStat[] = [];
  readonly #incoming = new Map<FileStat, Incoming>();
  #waiting = 0;
  /** Bytes of content that came. */
  received = 0;

  constructor(root: string, before: KnownFiles) {
    this.#root = root;
    this.#before = before;
  }

  file(stat: FileStat): 'wanted' | 'known' {
    const type = typeOf(stat.mode);
    const before = this.#before.get(stat.path);
    const known = { ...stat, received: before?.received ?? 0 };
    if (type === GO_MODE.directory) {
      this.#keep(stat, known);
      this.#directory(stat, before);
      return 'known';
    }
    if (type === GO_MODE.symlink) {
      this.#keep(stat, known);
      this.#symlink(stat, before);
      return 'known';
    }
    if (type === GO_MODE.socket) {
      const file = { ...stat, mode: (stat.mode & ~GO_MODE.socket) >>> 0, size: 0 };
      this.#keep(file, { ...file, received: known.received });
      this.#empty(file, before);
      return 'known';
    }
    // Pipes and devices are of the client's machine: they mean nothing here.
    if (type !== 0) return 'known';
    this.#keep(stat, known);
    if (stat.linkname !== '') {
      this.#links.push(stat);
      return 'known';
    }
    if (!before || !isBelieved(stat, before)) return 'wanted';
    this.#believed.push(stat);
    return 'known';
  }

  told(): readonly FileStat[] {
    // What is not in a directory any more went with it: its path may lead elsewhere by now.
    for (const path of this.#before.keys())
      if (!this.#now.has(path) && this.#isIn(dirname(path))) this.#remove(path);
    const bytes = this.#believed.reduce((sum, { size }) => sum + size, 0);
    return this.#believed.length <= FEW.files && bytes <= FEW.bytes ? this.#believed : [];
  }

  data(stat: FileStat, bytes: Uint8Array): void {
    this.received += bytes.byteLength;
    const incoming = this.#incomingOf(stat);
    if (incoming.fd === undefined) {
      incoming.pieces.push(bytes);
      incoming.size += bytes.byteLength;
      this.#waiting += bytes.byteLength;
      if (incoming.size > COMPARED || this.#waiting > MAX_WAITING) this.#toFile(stat, incoming);
      return;
    }
    writeAll(incoming.fd, bytes);
  }

  end(stat: FileStat): void {
    const incoming = this.#incomingOf(stat);
    this.#incoming.delete(stat);
    if (incoming.fd === undefined) {
      this.#waiting -= incoming.size;
      if (this.#isSame(stat, this.#place(stat.path), incoming)) return;
      this.#toFile(stat, incoming);
    }
    const fd = incoming.fd!;
    // What a new file gets of its mode depends on the umask.
    fchmodSync(fd, permissionsOf(stat.mode));
    futimens(fd, modTimeOf(stat), modTimeOf(stat));
    closeSync(fd);
    this.#keep(stat, { ...stat, received: Date.now() });
  }

  /** To be called when all has come. Answers what is in the copy now. */
  finish(): KnownFiles {
    for (const stat of this.#links) this.#link(stat);
    // The innermost first: nothing is made in a directory after its time is set.
    for (const stat of this.#directories.reverse())
      utimensat(AT.FDCWD, this.#place(stat.path), modTimeOf(stat), modTimeOf(stat));
    return this.#now;
  }

  /** Closes what was not received to its end. */
  abandon(): void {
    for (const { fd } of this.#incoming.values()) if (fd !== undefined) closeSync(fd);
    this.#incoming.clear();
  }

  #keep(stat: FileStat, { mode, size, modTime, linkname, received }: KnownFile): void {
    this.#now.set(stat.path, { mode, size, modTime, linkname, received });
  }

  #place(path: string): string {
    return join(this.#root, path);
  }

  #directory(stat: FileStat, before: KnownFile | undefined): void {
    const place = this.#place(stat.path);
    if (before && isDirectoryStat(before)) {
      if (before.mode !== stat.mode) chmodSync(place, permissionsOf(stat.mode));
    } else {
      removeOther(place);
      mkdirSync(place, { mode: 0o700 });
      chmodSync(place, permissionsOf(stat.mode));
    }
    this.#directories.push(stat);
  }

  #symlink(stat: FileStat, before: KnownFile | undefined): void {
    if (before && before.mode === stat.mode && before.linkname === stat.linkname) return;
    const place = this.#place(stat.path);
    removeOther(place);
    symlinkSync(stat.linkname, place);
    utimensat(AT.FDCWD, place, modTimeOf(stat), modTimeOf(stat));
  }

  /** A socket of the client becomes an empty file, as with BuildKit. */
  #empty(stat: FileStat, before: KnownFile | undefined): void {
    const { mode, size, modTime, path } = stat;
    if (before && before.mode === mode && before.size === size && before.modTime === modTime)
      return;
    removeOther(this.#place(path));
    const fd = openSync(this.#place(path), 'wx', 0o600);
    fchmodSync(fd, permissionsOf(mode));
    futimens(fd, modTimeOf(stat), modTimeOf(stat));
    closeSync(fd);
  }

  /** Another name of a file that was told before: never of anything else. */
  #link({ path, linkname }: FileStat): void {
    const target = this.#now.get(linkname);
    if (!target || typeOf(target.mode) !== 0)
      throw new ConnectError(`the client told no file ${linkname}`, Code.InvalidArgument);
    const place = this.#place(path);
    removeOther(place);
    linkSync(this.#place(linkname), place);
  }

  #incomingOf(stat: FileStat): Incoming {
    let incoming = this.#incoming.get(stat);
    if (!incoming) {
      incoming = { pieces: [], size: 0, fd: undefined };
      this.#incoming.set(stat, incoming);
    }
    return incoming;
  }

  /** What came is what we have. Its times and mode are made those that the client tells. */
  #isSame(stat: FileStat, place: string, { pieces, size }: Incoming): boolean {
    const before = this.#before.get(stat.path);
    if (!before || typeOf(before.mode) !== 0 || before.linkname !== '' || before.size !== size)
      return false;
    if (!readFileSync(place).equals(Buffer.concat(pieces))) return false;
    if (before.mode !== stat.mode) chmodSync(place, permissionsOf(stat.mode));
    if (before.modTime !== stat.modTime)
      utimensat(AT.FDCWD, place, modTimeOf(stat), modTimeOf(stat));
    this.#keep(stat, { ...stat, received: Date.now() });
    return true;
  }

  /** A new file in the place of what is there. It has to be whole only when all has come. */
  #toFile(stat: FileStat, incoming: Incoming): void {
    const place = this.#place(stat.path);
    if (this.#before.has(stat.path)) removeOther(place);
    incoming.fd = openSync(place, 'wx', 0o600);
    for (const piece of incoming.pieces) writeAll(incoming.fd, piece);
    incoming.pieces = [];
  }

  #isIn(directory: string): boolean {
    const now = this.#now.get(directory);
    return directory === '.' || (now !== undefined && isDirectoryStat(now));
  }

  #remove(path: string): void {
    rmSync(this.#place(path), { recursive: true, force: true });
  }
}

interface Incoming {
  pieces: Uint8Array[];
  size: number;
  /** The file that it is written to, once it is too much for memory or known to be new. */
  fd: number | undefined;
}

function removeOther(place: string): void {
  const stat = lstatSync(place, { throwIfNoEntry: false });
  if (stat?.isDirectory()) rmSync(place, { recursive: true });
  else if (stat) unlinkSync(place);
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let rest = bytes; rest.byteLength > 0; ) rest = rest.subarray(writeSync(fd, rest));
}
