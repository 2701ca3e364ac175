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
import { fdPath } from '../../../snapshotter/sys/xattr.ts';
import type { FileReceiver } from './diff-copy.ts';
import { GO_MODE, isDirectoryStat, permissionsOf, typeOf } from './go-mode.ts';
import { canBeBelieved, FEW, FILE_STATE, type KnownFiles, tellsTheSame } from './known-files.ts';
import { type FileStat, modTimeOf } from './packet.ts';
import { type KnownFile, ToldFiles } from './told-files.ts';
import { replaceToldXattrs, sameXattrs, setToldXattrs } from './told-xattrs.ts';

/** Content up to this size is compared with what we have before it takes its place. */
const COMPARED = 1 << 20;
/** Content that waits in memory to be compared, of all files together. */
const MAX_WAITING = 16 << 20;

/**
 * Makes a directory of ours the same as one of a client, from what the client tells and sends.
 * What is told as before is left as it is: nothing is written where nothing has changed.
 *
 * Paths need no care here: `receiveDirectory` has every file in a directory that was told before,
 * and a directory that was told is a real one of ours. A file that changes is a new file: whoever
 * remembers its digest by inode and times does not take it for the old one.
 */
export class DirectoryCopy implements FileReceiver {
  readonly #root: string;
  readonly #now: ToldFiles;
  readonly #onChange: () => void;
  readonly #isTrusted: boolean;
  #isChanged = false;
  /** Directories in which names were made or removed: their times have changed with that. */
  readonly #touched = new Set<string>();
  /** Paths at which something has changed. */
  readonly #changed = new Set<string>();
  /** What was a file of the copy and is none now. */
  readonly #gone: string[] = [];
  /** Directories that are gone, or are something else now: what was in them is gone with them. */
  readonly #unmade = new Set<string>();
  /** The first files that are believed, one more than are asked for in any case. */
  readonly #believed: number[] = [];
  /** Other names of files. */
  readonly #names: number[] = [];
  readonly #wanted = new Map<FileStat, Wanted>();
  readonly #incoming = new Map<FileStat, Incoming>();
  #waiting = 0;
  /** Bytes of content that came. */
  received = 0;

  /**
   * `onChange` is called once, right before the first change of the copy. If `isTrusted`, no file
   * that is believed is asked for.
   */
  constructor(root: string, before: KnownFiles, onChange: () => void, isTrusted = false) {
    this.#isTrusted = isTrusted;
    this.#root = root;
    this.#now = new ToldFiles(before);
    this.#onChange = onChange;
  }

  recognize(packet: Uint8Array): boolean {
    const id = this.#now.count;
    const state = this.#now.recognize(packet);
    if (state === undefined) return false;
    this.#told(id, state);
    return true;
  }

  file(stat: FileStat, packet: Uint8Array): 'wanted' | 'known' {
    const known = this.#now.meet(stat, (gone) => this.#remove(gone));
    const before = known?.stat;
    if (before && isDirectoryStat(before) && !isDirectoryStat(stat)) this.#unmade.add(stat.path);
    const state = this.#stateOf(stat, known);
    const id = this.#now.add(packet, known, state);
    this.#told(id, state);
    const type = typeOf(stat.mode);
    if (type === GO_MODE.directory) this.#directory(stat, before);
    else if (type === GO_MODE.symlink) this.#symlink(stat, before);
    else if (type === GO_MODE.socket) this.#empty(stat, before);
    // Pipes and devices are of the client's machine: they mean nothing here.
    else if (type !== 0) {
      if (before && before.mode !== stat.mode) this.#gone.push(stat.path);
    } else if (state === FILE_STATE.asked) {
      this.#wanted.set(stat, { id, before });
      return 'wanted';
    }
    return 'known';
  }

  told(): readonly (readonly [number, FileStat])[] {
    this.#now.meet(undefined, (gone) => this.#remove(gone));
    // What was in such a directory went with it: its path may lead elsewhere by now.
    for (const path of this.#gone) if (!this.#unmade.has(dirname(path))) this.#removeTree(path);
    if (this.#isTrusted || this.#believed.length > FEW.files) return [];
    const believed = this.#believed.map((id) => [id, this.#now.stat(id)] as const);
    if (believed.reduce((sum, [, { size }]) => sum + size, 0) > FEW.bytes) return [];
    for (const [id, stat] of believed) this.#wanted.set(stat, { id, before: stat });
    return believed;
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
    this.#received(stat, incoming);
    const isKernelTime = canBeBelieved(stat, Date.now());
    this.#now.setState(
      this.#wanted.get(stat)!.id,
      isKernelTime ? FILE_STATE.believed : FILE_STATE.asked,
    );
    this.#wanted.delete(stat);
  }

  /**
   * To be called when all has come. Answers the list of what is in the copy now, or undefined when
   * it is the list of before.
   */
  finish(): KnownFiles | undefined {
    if (this.#isChanged || this.#names.some((id) => !this.#now.isToldAsBefore(id)))
      for (const id of this.#names) this.#link(id);
    // The innermost first: nothing is made in a directory after its time is set.
    for (let id = this.#now.count - 1; id >= 0; id--)
      if (this.#now.state(id) === FILE_STATE.directory) this.#setTimes(id);
    return this.#now.list(this.#isChanged);
  }

  /** Closes what was not received to its end. */
  abandon(): void {
    for (const { fd } of this.#incoming.values()) if (fd !== undefined) closeSync(fd);
    this.#incoming.clear();
  }

  #told(id: number, state: number): void {
    if (state === FILE_STATE.name) this.#names.push(id);
    else if (state === FILE_STATE.believed && this.#believed.length <= FEW.files)
      this.#believed.push(id);
  }

  #stateOf(stat: FileStat, known: KnownFile | undefined): number {
    const type = typeOf(stat.mode);
    if (type === GO_MODE.directory) return FILE_STATE.directory;
    if (type !== 0) return FILE_STATE.other;
    if (stat.linkname !== '') return FILE_STATE.name;
    if (!known || !tellsTheSame(stat, known.stat)) return FILE_STATE.asked;
    return this.#now.stateBefore(known);
  }

  #place(path: string): string {
    return join(this.#root, path);
  }

  /**
   * The paths at which the copy has changed, '' for its top, when all has come. Undefined when it
   * may have changed at others: in directories that are gone, or at other names of a file.
   */
  get changed(): ReadonlySet<string> | undefined {
    const { size } = this.#unmade;
    return size > 0 || this.#names.length > 0 || this.#now.hadNames ? undefined : this.#changed;
  }

  /** To be called before each change of the copy at a path. */
  #change(path: string): void {
    this.#changed.add(path);
    if (this.#isChanged) return;
    this.#isChanged = true;
    this.#onChange();
  }

  /** To be called before a name is made or removed. Answers its place. */
  #changeName(path: string): string {
    this.#change(path);
    const above = dirname(path);
    this.#touched.add(above);
    this.#changed.add(above === '.' ? '' : above);
    return this.#place(path);
  }

  /** Makes room for a file at that path. Answers its place. */
  #makeRoom(path: string): string {
    const place = this.#changeName(path);
    removeOther(place);
    return place;
  }

  /** What is gone is removed when all is told. */
  #remove(gone: FileStat): void {
    this.#gone.push(gone.path);
    if (isDirectoryStat(gone)) this.#unmade.add(gone.path);
  }

  #removeTree(path: string): void {
    rmSync(this.#changeName(path), { recursive: true, force: true });
  }

  #directory(stat: FileStat, before: FileStat | undefined): void {
    if (before && isDirectoryStat(before)) {
      const hasSame = sameXattrs(before, stat);
      if (before.mode === stat.mode && hasSame) return;
      this.#change(stat.path);
      chmodSync(this.#place(stat.path), permissionsOf(stat.mode));
      if (!hasSame) replaceToldXattrs(this.#place(stat.path), stat);
      return;
    }
    const place = this.#makeRoom(stat.path);
    mkdirSync(place, { mode: 0o700 });
    chmodSync(place, permissionsOf(stat.mode));
    setToldXattrs(place, stat);
  }

  #setTimes(id: number): void {
    const isAsBefore = this.#now.isToldAsBefore(id);
    if (isAsBefore && this.#touched.size === 0) return;
    const stat = this.#now.stat(id);
    if (isAsBefore && !this.#touched.has(stat.path)) return;
    this.#change(stat.path);
    utimensat(AT.FDCWD, this.#place(stat.path), modTimeOf(stat), modTimeOf(stat));
  }

  #symlink(stat: FileStat, before: FileStat | undefined): void {
    if (before && before.mode === stat.mode && before.linkname === stat.linkname) return;
    const place = this.#makeRoom(stat.path);
    symlinkSync(stat.linkname, place);
    utimensat(AT.FDCWD, place, modTimeOf(stat), modTimeOf(stat));
  }

  /** A socket of the client becomes an empty file, as with BuildKit. */
  #empty(stat: FileStat, before: FileStat | undefined): void {
    if (before && before.mode === stat.mode && before.modTime === stat.modTime) return;
    const fd = openSync(this.#makeRoom(stat.path), 'wx', 0o600);
    fchmodSync(fd, permissionsOf(stat.mode));
    futimens(fd, modTimeOf(stat), modTimeOf(stat));
    closeSync(fd);
  }

  /** Another name of a file that was told: never of anything else. */
  #link(id: number): void {
    const { path, linkname } = this.#now.stat(id);
    if (this.#now.isToldAsBefore(id) && this.#isOneFile(path, linkname)) return;
    if (!this.#files().has(linkname))
      throw new ConnectError(`the client told no file ${linkname}`, Code.InvalidArgument);
    linkSync(this.#place(linkname), this.#makeRoom(path));
  }

  #isOneFile(path: string, other: string): boolean {
    const [one, two] = [path, other].map((name) =>
      lstatSync(this.#place(name), { throwIfNoEntry: false }),
    );
    return one?.isFile() === true && one.ino === two?.ino;
  }

  #filePaths: Set<string> | undefined;

  /** The paths of all regular files. */
  #files(): ReadonlySet<string> {
    if (!this.#filePaths) {
      this.#filePaths = new Set();
      for (let id = 0; id < this.#now.count; id++) {
        const stat = this.#now.stat(id);
        if (typeOf(stat.mode) === 0) this.#filePaths.add(stat.path);
      }
    }
    return this.#filePaths;
  }

  #incomingOf(stat: FileStat): Incoming {
    let incoming = this.#incoming.get(stat);
    if (!incoming) {
      incoming = { pieces: [], size: 0, fd: undefined };
      this.#incoming.set(stat, incoming);
    }
    return incoming;
  }

  /** The content of a file is whole: it takes its place, unless it is what we have. */
  #received(stat: FileStat, incoming: Incoming): void {
    if (incoming.fd === undefined) {
      this.#waiting -= incoming.size;
      if (this.#isSame(stat, incoming)) return;
      this.#toFile(stat, incoming);
    }
    const fd = incoming.fd!;
    // What a new file gets of its mode depends on the umask.
    fchmodSync(fd, permissionsOf(stat.mode));
    if (stat.xattrs.size > 0) setToldXattrs(fdPath(fd), stat);
    futimens(fd, modTimeOf(stat), modTimeOf(stat));
    closeSync(fd);
  }

  /** What came is what we have. Its times and mode are made those that the client tells. */
  #isSame(stat: FileStat, { pieces, size }: Incoming): boolean {
    const { before } = this.#wanted.get(stat)!;
    if (!before || typeOf(before.mode) !== 0 || before.linkname !== '' || before.size !== size)
      return false;
    if (!sameXattrs(before, stat)) return false;
    const place = this.#place(stat.path);
    if (!readFileSync(place).equals(Buffer.concat(pieces))) return false;
    if (before.mode === stat.mode && before.modTime === stat.modTime) return true;
    this.#change(stat.path);
    if (before.mode !== stat.mode) chmodSync(place, permissionsOf(stat.mode));
    utimensat(AT.FDCWD, place, modTimeOf(stat), modTimeOf(stat));
    return true;
  }

  /** A new file in the place of what is there. It has to be whole only when all has come. */
  #toFile(stat: FileStat, incoming: Incoming): void {
    const place = this.#wanted.get(stat)!.before
      ? this.#makeRoom(stat.path)
      : this.#changeName(stat.path);
    incoming.fd = openSync(place, 'wx', 0o600);
    for (const piece of incoming.pieces) writeAll(incoming.fd, piece);
    incoming.pieces = [];
  }
}

/** A file whose content is asked for. */
interface Wanted {
  readonly id: number;
  /** What was told of its path before. */
  readonly before: FileStat | undefined;
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
