import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf } from '../../../base/digest.ts';
import type {
  ActiveSnapshot,
  LayerId,
  Snapshot,
  Snapshotter,
  View,
} from '../../../snapshotter/snapshotter.ts';

/**
 * Helpers for tests of file actions: trees written as text, a snapshotter that needs no mounts, and
 * listings of trees.
 */

/**
 * A tree, one file per line: `d PATH MODE [UID:GID]`, `f PATH MODE [UID:GID] [=TEXT]`, `l PATH
 * TARGET` (symlink), `h PATH FIRST` (hard link), `p PATH MODE` (FIFO), `s PATH MODE` (socket).
 */
export type TreeSpec = readonly string[];

/** The time of all files of a spec, in seconds since 1970: archives keep no fractions. */
export const SPEC_TIME = 1_000_000_000;

export function makeTree(root: string, spec: TreeSpec, time = SPEC_TIME): void {
  for (const line of spec) makeNode(root, line);
  for (const line of [...spec].reverse()) lutimesSync(join(root, line.split(' ')[1]!), time, time);
  lutimesSync(root, time, time);
}

function makeNode(root: string, line: string): void {
  const [kind, path, third, ...rest] = line.split(' ');
  const at = join(root, path!);
  const text = line.includes('=') ? line.slice(line.indexOf('=') + 1) : '';
  if (kind === 'd') mkdirSync(at);
  else if (kind === 'f') writeFileSync(at, text);
  else if (kind === 'l') symlinkSync(third!, at);
  else if (kind === 'h') linkSync(join(root, third!), at);
  else if (kind === 'p') execFileSync('mkfifo', [at]);
  else if (kind === 's')
    execFileSync('python3', [
      '-c',
      'import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])',
      at,
    ]);
  else throw new Error(`bad spec ${line}`);
  if (kind === 'l' || kind === 'h') return;
  const owner = /^(\d+):(\d+)$/.exec(rest[0] ?? '');
  if (owner) (kind === 'd' ? chownSync : lchownSync)(at, Number(owner[1]), Number(owner[2]));
  chmodSync(at, Number.parseInt(third!, 8));
}

/**
 * Lists a tree, one line for each path below `root`, sorted: kind, mode, owner, time (`now` if
 * newer than the specs), content, link.
 */
export function listTree(root: string, skip: (path: string) => boolean = () => false): string[] {
  const lines: string[] = [];
  const inodes = new Map<number, string>();
  const walk = (path: string) => {
    for (const name of readdirSync(join(root, path)).sort()) {
      const below = path === '' ? name : `${path}/${name}`;
      if (skip(below)) continue;
      lines.push(listNode(root, below, inodes));
      if (lstatSync(join(root, below)).isDirectory()) walk(below);
    }
  };
  walk('');
  return lines;
}

function listNode(root: string, path: string, inodes: Map<number, string>): string {
  const at = join(root, path);
  const stat = lstatSync(at);
  const time = stat.mtimeMs > 1_500_000_000_000 ? 'now' : String(Math.floor(stat.mtimeMs / 1000));
  const head =
    `${(stat.mode & 0o7777).toString(8).padStart(4, '0')} ` + `${stat.uid}:${stat.gid} ${time}`;
  if (stat.isSymbolicLink())
    return `${path} link ${stat.uid}:${stat.gid} ${time} ${readlinkSync(at)}`;
  if (stat.isDirectory()) return `${path} dir ${head}`;
  if (!stat.isFile()) return `${path} ${stat.isFIFO() ? 'fifo' : 'other'} ${head}`;
  const first = stat.nlink > 1 ? inodes.get(stat.ino) : undefined;
  if (first !== undefined) return `${path} hard ${first}`;
  inodes.set(stat.ino, path);
  return `${path} file ${head} ${contentOf(readFileSync(at))}`;
}

export function contentOf(bytes: Buffer): string {
  return bytes.length <= 40 ? JSON.stringify(bytes.toString()) : digestOf(bytes).slice(7, 23);
}

/** A snapshotter in which each layer is a full copy of its tree. */
export interface CopyingSnapshotter extends Snapshotter, Disposable {
  /** Makes a snapshot of the tree that `make` writes. */
  add(make: (root: string) => void): Snapshot;
  /** The directory of a snapshot's tree. */
  at(snapshot: Snapshot): string;
  /** The directory of the newest layer. */
  last(): string;
}

export function copyingSnapshotter(): CopyingSnapshotter {
  const home = mkdtempSync(join(tmpdir(), 'kiln-copying-'));
  let count = 0;
  const place = (id: string) => join(home, id);
  const fresh = () => {
    const id = `layer${count++}` as LayerId;
    mkdirSync(place(id));
    return id;
  };
  const at = (snapshot: Snapshot) => place(snapshot.layers.at(-1) ?? 'scratch');
  mkdirSync(place('scratch'));
  const unsupported = () => Promise.reject(new Error('not in this test'));
  return {
    at,
    last: () => place(`layer${count - 1}`),
    add(make) {
      const id = fresh();
      make(place(id));
      return { layers: [id] };
    },
    async prepare(parent): Promise<ActiveSnapshot> {
      const id = fresh();
      execFileSync('cp', ['-a', `${at(parent)}/.`, place(id)]);
      return {
        root: place(id),
        upper: place(id),
        isPlain: true,
        parent,
        commit: async () => ({ layers: [...parent.layers, id] }),
        [Symbol.asyncDispose]: async () => {},
      };
    },
    view: async (snapshot): Promise<View> => ({
      root: at(snapshot),
      [Symbol.asyncDispose]: async () => {},
    }),
    squash: unsupported,
    unpack: unsupported,
    unpackMade: unsupported,
    unpackArriving: unsupported,
    describe: unsupported,
    find: () => undefined,
    has: () => true,
    packedAs: (layer) => layer,
    movable: async (snapshot) => snapshot,
    windowsFiles: (layer) => layer,
    isForWindows: () => false,
    revise: async () => undefined,
    directories: (layer) => (existsSync(place(layer)) ? [place(layer)] : []),
    discard: (layer) => rmSync(place(layer), { recursive: true }),
    touch: () => {},
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  };
}
