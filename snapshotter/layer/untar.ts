import type { Timespec } from '../sys/calls.ts';
import { decodeName } from '../sys/name-bytes.ts';
import type { Expansion } from './expansion.ts';
import { malformed, refusal, tooMuch } from './refusal.ts';
import { BLOCK, type EntryType, NO_XATTRS, padding, type TarEntry } from './tar.ts';

/**
 * Receives what a TarReader finds. `data` is called any number of times between the `entry` of a
 * file and `end`. When the kernel refuses a value from the archive in `entry` or `end`, the error
 * is reported as a fault of the archive (refusal.ts).
 */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** The bytes are only valid during the call. */
  data(bytes: Buffer): void;
  end(): void;
}

/** The limits on an archive. An archive beyond them is refused with KILN_LAYER_LIMIT. */
export interface TarLimits {
  readonly entries: number;
  /** Bytes of a path or link target (Linux's PATH_MAX). */
  readonly path: number;
  /** Bytes of one pax header or GNU long name. */
  readonly meta: number;
  /** Bytes of the whole archive. */
  readonly total: number;
}

export const TAR_LIMITS: TarLimits = {
  entries: 4_000_000,
  path: 4096,
  meta: 1 << 20,
  total: 256 * 2 ** 30,
};

/** Records of one pax extended header that apply to the next entry. */
type Records = Map<string, Buffer>;

/**
 * A strict streaming reader for ustar, pax, GNU long names and base-256 numbers. `push` bytes as
 * they arrive, then call `finish`. It refuses what it cannot read exactly (sparse files, unknown
 * types, invalid numbers) instead of guessing.
 */
export class TarReader {
  readonly #handler: TarHandler;
  readonly #expansion: Expansion | undefined;
  readonly #limits: TarLimits;
  readonly #header = Buffer.alloc(BLOCK);
  #filled = 0;
  #state: 'header' | 'meta' | 'body' | 'end' = 'header';
  /** The bytes of content that are still to come, then the bytes of padding to skip. */
  #left = 0;
  #pad = 0;
  #meta: Buffer[] = [];
  #metaType = '';
  #records: Records = new Map();
  #longName: Buffer | undefined;
  #longLink: Buffer | undefined;
  #zeroBlocks = 0;
  #entries = 0;
  #total = 0;
  /** The entry whose content is being read. */
  #entry: TarEntry | undefined;

  /** `expansion` is what the archive is unpacked from. Entries count towards its limit, too. */
  constructor(handler: TarHandler, expansion?: Expansion, limits: TarLimits = TAR_LIMITS) {
    this.#handler = handler;
    this.#expansion = expansion;
    this.#limits = limits;
  }

  /** True when the archive has ended. What follows is ignored. */
  get ended(): boolean {
    return this.#state === 'end';
  }

  push(chunk: Buffer): void {
    this.#total += chunk.length;
    if (this.#total > this.#limits.total)
      throw tooMuch(`it is larger than ${this.#limits.total} bytes`);
    for (let at = 0; at < chunk.length && this.#state !== 'end'; ) {
      if (this.#left > 0) {
        const piece = chunk.subarray(at, at + this.#left);
        this.#content(piece);
        at += piece.length;
        this.#left -= piece.length;
        if (this.#left === 0) this.#contentDone();
      } else if (this.#pad > 0) {
        const skipped = Math.min(this.#pad, chunk.length - at);
        this.#pad -= skipped;
        at += skipped;
      } else at += this.#headerBytes(chunk, at);
    }
  }

  /** Ends the archive. Throws when it is incomplete. */
  finish(): void {
    if (this.#state === 'end') return;
    const waiting =
      this.#records.size > 0 || this.#longName !== undefined || this.#longLink !== undefined;
    if (this.#state !== 'header' || this.#filled > 0 || this.#left > 0 || this.#pad > 0 || waiting)
      throw malformed('it is cut short');
  }

  #content(piece: Buffer): void {
    if (this.#state === 'meta') this.#meta.push(Buffer.from(piece));
    else this.#handler.data(piece);
  }

  #contentDone(): void {
    if (this.#state === 'meta') this.#applyMeta(Buffer.concat(this.#meta.splice(0)));
    else this.#end();
    this.#state = 'header';
  }

  #headerBytes(chunk: Buffer, at: number): number {
    // The common case: the whole header is in the chunk and need not be copied.
    if (this.#filled === 0 && chunk.length - at >= BLOCK) {
      this.#readHeader(chunk.subarray(at, at + BLOCK));
      return BLOCK;
    }
    const taken = chunk.copy(
      this.#header,
      this.#filled,
      at,
      Math.min(chunk.length, at + BLOCK - this.#filled),
    );
    this.#filled += taken;
    if (this.#filled === BLOCK) {
      this.#filled = 0;
      this.#readHeader(this.#header);
    }
    return taken;
  }

  #readHeader(block: Buffer): void {
    if (isZero(block)) {
      this.#zeroBlocks += 1;
      if (this.#zeroBlocks === 2) this.#state = 'end';
      return;
    }
    if (this.#zeroBlocks > 0) throw malformed('a block of zeros between entries');
    verifyChecksum(block);
    const type = String.fromCharCode(block[156]!);
    if ('xgLK'.includes(type)) this.#beginMeta(type, readNumber(block, 124, 12));
    else this.#beginEntry(block, type);
  }

  #beginMeta(type: string, size: number): void {
    if (size < 0) throw malformed('a header of negative size');
    if (size > this.#limits.meta) throw tooMuch(`an extended header of ${size} bytes`);
    this.#count();
    this.#metaType = type;
    this.#left = size;
    this.#pad = padding(size);
    if (size === 0) this.#applyMeta(Buffer.alloc(0));
    else this.#state = 'meta';
  }

  #count(): void {
    this.#entries += 1;
    this.#expansion?.entry();
    if (this.#entries > this.#limits.entries)
      throw tooMuch(`more than ${this.#limits.entries} entries`);
  }

  #applyMeta(body: Buffer): void {
    if (this.#metaType === 'x')
      for (const [key, value] of parsePax(body)) this.#records.set(key, value);
    else if (this.#metaType === 'L') this.#longName = untilNul(body);
    else if (this.#metaType === 'K') this.#longLink = untilNul(body);
    // Only the size of a global pax header ('g') is checked: no builder writes one that matters to
    // a layer.
  }

  #beginEntry(block: Buffer, flag: string): void {
    this.#count();
    const records = this.#records;
    this.#records = new Map();
    const [name, link] = [this.#longName, this.#longLink];
    this.#longName = this.#longLink = undefined;
    const entry = readEntry(block, flag, records, name, link);
    if (
      Buffer.byteLength(entry.path) > this.#limits.path ||
      Buffer.byteLength(entry.linkPath) > this.#limits.path
    )
      throw tooMuch(`a path longer than ${this.#limits.path} bytes`);
    this.#left = entry.size;
    this.#pad = padding(entry.size);
    this.#entry = entry;
    try {
      this.#handler.entry(entry);
    } catch (error) {
      throw refusal(entry, error);
    }
    if (entry.size > 0) this.#state = 'body';
    else if (entry.type === 'file') this.#end();
  }

  #end(): void {
    try {
      this.#handler.end();
    } catch (error) {
      throw refusal(this.#entry!, error);
    }
  }
}

function isZero(block: Buffer): boolean {
  if (block[0] !== 0) return false;
  for (let at = 1; at < BLOCK; at++) if (block[at] !== 0) return false;
  return true;
}

/** Old writers summed signed bytes, so both sums are accepted. */
function verifyChecksum(block: Buffer): void {
  const wanted = readNumber(block, 148, 8);
  let unsigned = 0;
  let high = 0;
  for (let at = 0; at < BLOCK; at++) {
    const byte = at >= 148 && at < 156 ? 0x20 : block[at]!;
    unsigned += byte;
    if (byte >= 0x80) high += 1;
  }
  if (wanted !== unsigned && wanted !== unsigned - 256 * high)
    throw malformed('a header with a wrong checksum');
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** Reads an octal field, or GNU's base-256 when the first bit is set. */
function readNumber(block: Buffer, at: number, width: number): number {
  if (block[at]! & 0x80) return readBase256(block.subarray(at, at + width));
  let value = 0;
  let digits = 0;
  let place = at;
  const end = at + width;
  while (place < end && block[place] === 0x20) place += 1;
  for (; place < end; place++) {
    const byte = block[place]!;
    if (byte === 0 || byte === 0x20) break;
    if (byte < 0x30 || byte > 0x37) throw malformed('a number that is not octal');
    value = value * 8 + byte - 0x30;
    digits += 1;
  }
  for (; place < end; place++)
    if (block[place] !== 0 && block[place] !== 0x20) throw malformed('a number that is not octal');
  return digits === 0 ? 0 : value;
}

function readBase256(field: Buffer): number {
  const negative = (field[0]! & 0x40) !== 0;
  let value = negative ? BigInt(field[0]!) - 256n : BigInt(field[0]! & 0x3f);
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
  return safe(Number(value));
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw malformed('a number out of range');
  return value;
}

/** `<length> <key>=<value>\n`, repeated. Of two equal keys the later one counts. */
function parsePax(body: Buffer): Records {
  const records: Records = new Map();
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    if (space < 0 || space - at > 10) throw malformed('a pax record without length');
    const length = wholeNumber(body.toString('latin1', at, space));
    const end = at + length;
    const equals = body.indexOf(0x3d, space);
    if (end > body.length || length <= space - at + 2 || body[end - 1] !== 0x0a)
      throw malformed('a pax record of wrong length');
    if (equals < 0 || equals >= end - 1 || equals === space + 1)
      throw malformed('a pax record without key');
    const key = body.toString('utf8', space + 1, equals);
    const value = body.subarray(equals + 1, end - 1);
    if (key.includes('\0')) throw malformed('a pax key with a NUL');
    if (key.startsWith('GNU.sparse.')) throw malformed('sparse files are not supported');
    records.set(key, value);
    at = end;
  }
  return records;
}

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,16}$/.test(text)) throw malformed('a pax number that is not valid');
  return safe(Number(text));
}

/** `[-]seconds[.fraction]`, cut to nanoseconds towards minus infinity, as Linux keeps times. */
function paxTime(text: string): Timespec {
  const match = /^(-?)([0-9]{1,16})(?:\.([0-9]*))?$/.exec(text);
  if (!match) throw malformed('a pax time that is not valid');
  const sec = safe(Number(match[2]));
  const nsec = Number((match[3] ?? '').slice(0, 9).padEnd(9, '0'));
  if (match[1] === '') return { sec, nsec };
  return nsec === 0 ? { sec: -sec, nsec: 0 } : { sec: -sec - 1, nsec: 1e9 - nsec };
}

const TYPES: Readonly<Record<string, EntryType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
};

function readEntry(
  block: Buffer,
  flag: string,
  records: Records,
  longName?: Buffer,
  longLink?: Buffer,
): TarEntry {
  if (flag === 'S') throw malformed('sparse files are not supported');
  let type = TYPES[flag];
  if (type === undefined) throw malformed(`an entry of unknown type ${JSON.stringify(flag)}`);
  const ustar = block.toString('latin1', 257, 262) === 'ustar';
  const path = text(records.get('path'), 'path') ?? decodeName(longName ?? headerName(block));
  const linkPath =
    text(records.get('linkpath'), 'linkpath') ??
    decodeName(longLink ?? untilNul(block.subarray(157, 257)));
  // Version 7 archives mark a directory only by a slash.
  if (flag === '\0' && path.endsWith('/')) type = 'directory';
  const number = (key: string, at: number, width: number) => {
    const record = records.get(key);
    return record && record.length > 0
      ? wholeNumber(record.toString('latin1'))
      : readNumber(block, at, width);
  };
  const size = type === 'file' ? number('size', 124, 12) : 0;
  if (size < 0) throw malformed('a file of negative size');
  const mtime = records.get('mtime');
  const isDevice = ustar && (type === 'char' || type === 'block');
  return {
    type,
    path,
    linkPath: type === 'symlink' || type === 'hardlink' ? linkPath : '',
    mode: readNumber(block, 100, 8) & 0o7777,
    uid: identity(number('uid', 108, 8)),
    gid: identity(number('gid', 116, 8)),
    size,
    mtime:
      mtime && mtime.length > 0
        ? paxTime(mtime.toString('latin1'))
        : { sec: readNumber(block, 136, 12), nsec: 0 },
    devMajor: isDevice ? deviceNumber(readNumber(block, 329, 8), MAJORS) : 0,
    devMinor: isDevice ? deviceNumber(readNumber(block, 337, 8), MINORS) : 0,
    xattrs: xattrsOf(records),
  };
}

/**
 * A user or group has 32 bits. The largest value is refused, because it means "no change" to
 * chown(2).
 */
function identity(value: number): number {
  if (value < 0 || value >= 0xffffffff) throw malformed('a user or group number out of range');
  return value;
}

/** The numbers of majors and minors that Linux has. */
const MAJORS = 2 ** 12;
const MINORS = 2 ** 20;

function deviceNumber(value: number, count: number): number {
  if (value < 0 || value >= count) throw malformed('a device number out of range');
  return value;
}

/** ustar's prefix and name. GNU's old format has other data in the place of the prefix. */
function headerName(block: Buffer): Buffer {
  const name = untilNul(block.subarray(0, 100));
  if (block.toString('latin1', 257, 263) !== 'ustar\0' || block[345] === 0) return name;
  return Buffer.concat([untilNul(block.subarray(345, 500)), Buffer.from('/'), name]);
}

/** An empty pax value means that the header's own field counts. */
function text(record: Buffer | undefined, key: string): string | undefined {
  if (record === undefined || record.length === 0) return undefined;
  if (record.includes(0)) throw malformed(`a pax ${key} with a NUL`);
  return decodeName(record);
}

const XATTR = 'SCHILY.xattr.';

function xattrsOf(records: Records): ReadonlyMap<string, Buffer> {
  let found: Map<string, Buffer> | undefined;
  for (const [key, value] of records) {
    if (key.startsWith(XATTR)) (found ??= new Map()).set(key.slice(XATTR.length), value);
  }
  return found ?? NO_XATTRS;
}
