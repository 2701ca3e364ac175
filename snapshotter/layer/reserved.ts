import { closeSync, type Dirent, readdirSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { openat, tryStat } from '../sys/calls.ts';
import { AT, O } from '../sys/constants.ts';
import { decodeName } from '../sys/name-bytes.ts';
import { fdPath } from '../sys/xattr.ts';
import { clearOpaque, isOpaque } from './marks.ts';

/** Names with this prefix mean a removal in a layer (image-spec layer.md#whiteouts). */
const PREFIX = '.wh.';
const PREFIX_BYTES = Buffer.from(PREFIX);
const SLASH = Buffer.from('/');

/** True when the last component of a path is a name that a layer cannot hold. */
export function isReserved(path: string): boolean {
  return path.startsWith(PREFIX, path.lastIndexOf('/') + 1);
}

/**
 * Throws KILN_LAYER_NAME for a path that a layer cannot hold. Only its last component is checked.
 */
export function refuseReserved(path: string): void {
  if (isReserved(path)) throw reserved(path);
}

function reserved(path: string): KilnError {
  const full = `/${path.replace(/^\/+/, '')}`;
  return new KilnError(
    'KILN_LAYER_NAME',
    `${JSON.stringify(full)} cannot be in an image: in a layer, a name that begins with .wh. ` +
      'means a removal',
    {
      hint:
        'give it another name, or leave it out (.dockerignore, COPY ' +
        '--exclude, rm in the same RUN)',
    },
  );
}

/** The error for a character device 0:0, which marks a removed file in overlay. */
export function whiteoutDevice(path: string): KilnError {
  return new KilnError(
    'KILN_LAYER_NAME',
    `"/${path.replace(/^\/+/, '')}" is a character device with the number 0:0, which ` +
      'means a removal in a layer',
    {
      hint: 'leave it out',
    },
  );
}

/**
 * A path of up to this length is read directly. A longer one is read by the descriptor of a
 * directory on the way.
 */
const LONG_PATH = 3000;

/**
 * Searches what a process has written to a layer, by names only, for entries that would mean
 * something else once they are packed or on top of other layers. `isPlain` says that the process
 * wrote without an overlay, which would have refused devices with the number 0:0 and its own marks.
 * Such marks are then removed, because they hide nothing. Throws KILN_LAYER_NAME.
 */
export function checkWritten(upper: string, isPlain: boolean): void {
  const top = openat(AT.FDCWD, upper, O.RDONLY | O.DIRECTORY);
  const waiting: Place[] = [{ base: new Base(top), below: Buffer.alloc(0), shown: '' }];
  try {
    for (let place = waiting.pop(); place; place = waiting.pop()) {
      try {
        look(place, isPlain, waiting);
      } finally {
        place.base.leave();
      }
    }
  } finally {
    for (const { base } of waiting) base.leave();
  }
}

/**
 * A directory that must be searched. `below` is an open directory above it; its whole path is for
 * messages.
 */
interface Place {
  readonly base: Base;
  readonly below: Buffer;
  readonly shown: string;
}

/** An open directory, closed when nothing below it waits any more. */
class Base {
  readonly fd: number;
  #waiting = 1;

  constructor(fd: number) {
    this.fd = fd;
  }

  join(): this {
    this.#waiting++;
    return this;
  }

  leave(): void {
    if (--this.#waiting === 0) closeSync(this.fd);
  }
}

function look({ base, below, shown }: Place, isPlain: boolean, waiting: Place[]): void {
  const path = Buffer.concat([Buffer.from(fdPath(base.fd)), below]);
  const here = below.length > LONG_PATH ? new Base(openBelow(base.fd, below)) : undefined;
  try {
    if (isPlain) clearMark(base.fd, below);
    for (const entry of readdirSync(path, { withFileTypes: true, encoding: 'buffer' })) {
      const at = () => `${shown}/${decodeName(entry.name)}`;
      if (entry.name.subarray(0, PREFIX.length).equals(PREFIX_BYTES)) throw reserved(at());
      if (isPlain && entry.isCharacterDevice() && isNothing(base.fd, below, entry))
        throw whiteoutDevice(at());
      if (!entry.isDirectory()) continue;
      const next = Buffer.concat([here ? Buffer.alloc(0) : below, SLASH, entry.name]);
      waiting.push({ base: (here ?? base).join(), below: next, shown: at() });
    }
  } finally {
    here?.leave();
  }
}

function openBelow(fd: number, below: Buffer): number {
  return openat(
    fd,
    decodeName(below.length === 0 ? Buffer.from('.') : below.subarray(1)),
    O.RDONLY | O.DIRECTORY | O.NOFOLLOW,
  );
}

function clearMark(fd: number, below: Buffer): void {
  const directory = openBelow(fd, below);
  try {
    if (isOpaque(directory)) clearOpaque(directory);
  } finally {
    closeSync(directory);
  }
}

function isNothing(fd: number, below: Buffer, entry: Dirent<Buffer>): boolean {
  const directory = openBelow(fd, below);
  try {
    const stat = tryStat(directory, decodeName(entry.name));
    return typeof stat !== 'number' && stat.rdevMajor === 0 && stat.rdevMinor === 0;
  } finally {
    closeSync(directory);
  }
}
