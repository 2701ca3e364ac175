import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { FileStat } from './packet.ts';

/** What a client told of a file whose copy we have. */
export interface KnownFile {
  readonly mode: number;
  readonly size: number;
  readonly modTime: bigint;
  readonly linkname: string;
  /** When we had its content from the client, in milliseconds since 1970. */
  readonly received: number;
}

/**
 * The files of a copy as the client told them, by path: they say what has to be asked for again.
 * The list is kept in a file beside the copy. While the copy is being changed there is none, so
 * that a change which was interrupted is not taken for a whole copy.
 */
export type KnownFiles = Map<string, KnownFile>;

const FORMAT = 1;

type Row = readonly [
  path: string,
  mode: number,
  size: number,
  modTime: string,
  linkname: string,
  received: number,
];

/** Undefined when there is no list, or a damaged one. */
export function readKnownFiles(path: string): KnownFiles | undefined {
  try {
    const { format, files } = JSON.parse(readFileSync(path, 'utf8')) as {
      format: number;
      files: Row[];
    };
    if (format !== FORMAT) return undefined;
    return new Map(
      files.map(([name, mode, size, modTime, linkname, received]) => [
        name,
        { mode, size, modTime: BigInt(modTime), linkname, received },
      ]),
    );
  } catch {
    return undefined;
  }
}

export function writeKnownFiles(path: string, known: KnownFiles): void {
  const files = [...known].map(
    ([name, { mode, size, modTime, linkname, received }]): Row => [
      name,
      mode,
      size,
      String(modTime),
      linkname,
      received,
    ],
  );
  const temporary = `${path}.new`;
  writeFileSync(temporary, JSON.stringify({ format: FORMAT, files }), { mode: 0o600 });
  renameSync(temporary, path);
}

export function forgetKnownFiles(path: string): void {
  rmSync(path, { force: true });
}

/** A file that was changed shortly before we had it may have changed again within one tick. */
const RECENT_MS = 3_000;

/**
 * # When a file is believed to be the same without its content
 *
 * A client far away tells no more of a file than its size, its times and its mode; no inode and no
 * time of change that programs cannot set. A file is believed when all of that is as before, and
 *
 * - its time was not recent when we had its content: it may have changed again in the same tick;
 * - its time is one that a kernel gave. Programs that set times (archives, package managers,
 *   reproducible builds, `touch -d`) set whole seconds, milliseconds or microseconds; the clock of
 *   a kernel ends in three zeros once in a thousand times.
 *
 * What this leaves is a file whose time was set to the exact nanosecond of another content of the
 * same size. `FEW` takes care of it wherever that is cheap.
 */
export function isBelieved(stat: FileStat, known: KnownFile): boolean {
  return (
    stat.mode === known.mode &&
    stat.size === known.size &&
    stat.modTime === known.modTime &&
    stat.linkname === known.linkname &&
    stat.modTime % 1000n !== 0n &&
    Number(stat.modTime / 1_000_000n) < known.received - RECENT_MS
  );
}

/** Up to so many files, of so many bytes together, are asked for in any case. */
export const FEW = { files: 256, bytes: 4 << 20 } as const;
