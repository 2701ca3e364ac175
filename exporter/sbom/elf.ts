import type { ImageFile } from './imagefile.ts';

/** The positions of numbers in the header, for both ELF classes (elf(5)). */
const FORMS = {
  1: { word: 4, shoff: 32, shentsize: 46, name: 0, offset: 16, size: 20, header: 40 },
  2: { word: 8, shoff: 40, shentsize: 58, name: 0, offset: 24, size: 32, header: 64 },
} as const;

const MAX_SECTIONS = 1000;
const MAX_NAMES = 1 << 16;

/**
 * The content of a section of an ELF file, by name, up to `limit` bytes. Undefined when the file is
 * not an ELF file or has no such section.
 */
export function elfSection(file: ImageFile, name: string, limit: number): Buffer | undefined {
  const head = file.read(0, 64);
  if (head.length < 64 || head.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const form = head[4] === 1 ? FORMS[1] : head[4] === 2 ? FORMS[2] : undefined;
  if (!form) return undefined;
  const little = head[5] === 1;
  const half = (at: number) => (little ? head.readUInt16LE(at) : head.readUInt16BE(at));
  const [entry, count, names] = [
    half(form.shentsize),
    half(form.shentsize + 2),
    half(form.shentsize + 4),
  ];
  if (entry < form.header || count > MAX_SECTIONS || names >= count) return undefined;
  const table = file.read(word(head, form.shoff, form.word, little), entry * count);
  if (table.length < entry * count) return undefined;
  const section = (index: number) => table.subarray(index * entry, (index + 1) * entry);
  const content = (header: Buffer, most: number) =>
    file.read(
      word(header, form.offset, form.word, little),
      Math.min(word(header, form.size, form.word, little), most),
    );
  const texts = content(section(names), MAX_NAMES);
  const wanted = Buffer.from(`${name}\0`);
  for (let index = 0; index < count; index++) {
    const header = section(index);
    const at = little ? header.readUInt32LE(form.name) : header.readUInt32BE(form.name);
    if (texts.subarray(at, at + wanted.length).equals(wanted)) return content(header, limit);
  }
  return undefined;
}

/**
 * An address or offset. A value that is too large for a file is not a safe integer, and nothing is
 * read there.
 */
function word(bytes: Buffer, at: number, size: 4 | 8, little: boolean): number {
  if (size === 4) return little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  return Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
}
