import { isUtf8 } from 'node:buffer';

/**
 * File names are bytes for the kernel and text in Kiln. A name that is not UTF-8 is kept without
 * loss: each odd byte 0x80..0xff becomes the lone surrogate U+DC80..U+DCFF, to which no valid UTF-8
 * decodes. The common case costs one check.
 */
export function decodeName(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes[at]!);
    const piece = bytes.subarray(at, at + length);
    if (length > 0 && piece.length === length && isUtf8(piece)) {
      text += piece.toString('utf8');
      at += length;
    } else {
      text += String.fromCharCode(0xdc00 + bytes[at]!);
      at += 1;
    }
  }
  return text;
}

function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;
  if (first < 0xe0) return 2;
  if (first < 0xf0) return 3;
  return first < 0xf5 ? 4 : 0;
}

/** The bytes of a name made by `decodeName`. */
export function nameBytes(name: string): Buffer {
  if (name.isWellFormed()) return Buffer.from(name, 'utf8');
  const parts: Buffer[] = [];
  for (const char of name) {
    const code = char.charCodeAt(0);
    const odd = char.length === 1 && code >= 0xdc80 && code <= 0xdcff;
    parts.push(odd ? Buffer.of(code - 0xdc00) : Buffer.from(char, 'utf8'));
  }
  return Buffer.concat(parts);
}

/** For node:fs calls: the text itself when it is plain, else its bytes. */
export function fsName(name: string): string | Buffer {
  return name.isWellFormed() ? name : nameBytes(name);
}

/**
 * For bound C calls: like `fsName`, NUL-terminated. A NUL inside a name would silently cut the
 * path, so it is refused.
 */
export function cName(name: string): string | Buffer {
  if (name.includes('\0')) throw new RangeError('a path must not contain a NUL byte');
  return name.isWellFormed() ? name : Buffer.concat([nameBytes(name), Buffer.of(0)]);
}

/**
 * Orders names by their bytes, the order of all archives and listings in Kiln. UTF-16 order differs
 * above U+D7FF.
 */
export function compareNames(a: string, b: string): number {
  const limit = Math.min(a.length, b.length);
  for (let at = 0; at < limit; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x === y) continue;
    return x < 0xd800 && y < 0xd800 ? x - y : nameBytes(a).compare(nameBytes(b));
  }
  return a.length - b.length;
}
