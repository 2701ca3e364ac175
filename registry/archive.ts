import { readSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { attempt, reading } from '../base/oserror.ts';

/** The place of a regular file in a tar archive, in bytes from the start of the archive. */
export interface Member {
  readonly offset: number;
  readonly size: number;
}

const BLOCK = 512;
const MAX_MEMBERS = 100_000;
const MAX_EXTENSION = 1 << 20;

/**
 * The regular files of an uncompressed tar archive by name (without a leading `./`). Only headers
 * are read. ustar prefixes, base-256 sizes, and the long names of PAX (path, size) and GNU are
 * understood. Throws KILN_ARCHIVE_INVALID.
 */
export function indexArchive(fd: number, path: string): ReadonlyMap<string, Member> {
  const invalid = (why: string) =>
    new KilnError('KILN_ARCHIVE_INVALID', `${path} is not a tar archive: ${why}`, {
      place: { kind: 'path', path },
      hint: 'give an archive that kiln save, docker save or skopeo has written',
    });
  const members = new Map<string, Member>();
  let at = 0;
  let longName: string | undefined;
  let longSize: number | undefined;
  for (;;) {
    const header = readAt(fd, path, at, BLOCK);
    // Some programs do not write the two zero blocks at the end.
    if (header.length === 0 || header.every((byte) => byte === 0)) return members;
    if (header.length < BLOCK) throw invalid('it ends in the middle of a header');
    if (at === 0 && header[0] === 0x1f && header[1] === 0x8b)
      throw invalid('it is compressed; unpack it with gunzip first');
    if (!checksumFits(header)) throw invalid(`there is no header at byte ${at}`);
    const type = String.fromCharCode(header[156] ?? 0);
    const size = longSize ?? numberOf(header.subarray(124, 136));
    if (size === undefined) throw invalid(`the size at byte ${at} cannot be read`);
    const offset = at + BLOCK;
    if (type === 'x' || type === 'L') {
      if (size > MAX_EXTENSION) throw invalid(`it has an extended header of ${size} bytes`);
      const data = readAt(fd, path, offset, size);
      if (type === 'L') longName = textOf(data);
      else ({ name: longName, size: longSize } = paxOf(data, longName));
    } else {
      if (type === '0' || type === '\0')
        members.set((longName ?? nameOf(header)).replace(/^(?:\.\/)+/, ''), { offset, size });
      longName = longSize = undefined;
    }
    if (members.size > MAX_MEMBERS) throw invalid(`it has more than ${MAX_MEMBERS} files`);
    at = offset + Math.ceil(size / BLOCK) * BLOCK;
  }
}

function readAt(fd: number, path: string, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const count = attempt(reading('the archive', path), () => readSync(fd, bytes, 0, length, at));
  return bytes.subarray(0, count);
}

function checksumFits(header: Buffer): boolean {
  let sum = 0;
  for (let index = 0; index < BLOCK; index++)
    sum += index >= 148 && index < 156 ? 32 : (header[index] ?? 0);
  return sum === numberOf(header.subarray(148, 156));
}

/** An octal number, or a base-256 number (GNU) when the high bit is set. */
function numberOf(field: Buffer): number | undefined {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    let value = 0;
    for (const [index, byte] of field.entries())
      value = value * 256 + (index === 0 ? byte & 0x7f : byte);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const text = textOf(field).trim();
  return /^[0-7]*$/.test(text) ? Number.parseInt(text || '0', 8) : undefined;
}

function textOf(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? field.length : end);
}

function nameOf(header: Buffer): string {
  const name = textOf(header.subarray(0, 100));
  const prefix =
    header.toString('latin1', 257, 262) === 'ustar' ? textOf(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Reads `LENGTH KEY=VALUE\n` records (POSIX pax). */
function paxOf(
  data: Buffer,
  before: string | undefined,
): { name: string | undefined; size: number | undefined } {
  let name = before;
  let size: number | undefined;
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const length = space < 0 ? 0 : Number(data.toString('latin1', at, space));
    if (!Number.isSafeInteger(length) || length <= space - at) break;
    const record = data.toString('utf8', space + 1, at + length - 1);
    if (record.startsWith('path=')) name = record.slice(5);
    if (record.startsWith('size=')) size = Number(record.slice(5));
    at += length;
  }
  return {
    name,
    size: size !== undefined && Number.isSafeInteger(size) && size >= 0 ? size : undefined,
  };
}
