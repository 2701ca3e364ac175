/** The fields of a package's header that are used. */
export interface RpmHeader {
  readonly name: string;
  readonly version: string;
  readonly release: string;
  readonly epoch: number | undefined;
  readonly arch: string | undefined;
  readonly licence: string | undefined;
}

const TAG = {
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  licence: 1014,
  arch: 1022,
} as const;
const TYPE = { int32: 4, string: 6, i18n: 9 } as const;
/** Real headers have about sixty. */
const MAX_ENTRIES = 10_000;
const INTRO = 8;
const ENTRY = 16;

/**
 * Reads a header in its database form (rpm.org, manual/format_header.html): the number of entries
 * and of bytes, the index, the bytes, all big-endian. Undefined when it is malformed or lacks a
 * name, version or release.
 */
export function parseRpmHeader(blob: Buffer): RpmHeader | undefined {
  if (blob.length < INTRO) return undefined;
  const entries = blob.readUInt32BE(0);
  const start = INTRO + entries * ENTRY;
  if (entries > MAX_ENTRIES || start + blob.readUInt32BE(4) > blob.length) return undefined;
  const data = blob.subarray(start);
  const find = (tag: number, ...types: readonly number[]): number | undefined => {
    for (let at = INTRO; at < start; at += ENTRY) {
      if (blob.readUInt32BE(at) !== tag || !types.includes(blob.readUInt32BE(at + 4))) continue;
      const offset = blob.readUInt32BE(at + 8);
      return offset < data.length ? offset : undefined;
    }
    return undefined;
  };
  const text = (tag: number): string | undefined => {
    const from = find(tag, TYPE.string, TYPE.i18n);
    const end = from === undefined ? -1 : data.indexOf(0, from);
    return end < 0 ? undefined : data.toString('utf8', from, end);
  };
  const epoch = find(TAG.epoch, TYPE.int32);
  const [name, version, release] = [text(TAG.name), text(TAG.version), text(TAG.release)];
  if (name === undefined || version === undefined || release === undefined) return undefined;
  return {
    name,
    version,
    release,
    epoch: epoch === undefined || epoch + 4 > data.length ? undefined : data.readUInt32BE(epoch),
    arch: text(TAG.arch),
    licence: text(TAG.licence),
  };
}
