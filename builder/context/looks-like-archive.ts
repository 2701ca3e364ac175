/**
 * True when `bytes`, the first 512 or more of a file, begin an archive. gzip, bzip2, xz and zstd
 * have a magic number. A tar has a header with a valid checksum.
 */
export function looksLikeArchive(bytes: Buffer): boolean {
  const starts = (...magic: number[]) => magic.every((byte, index) => bytes[index] === byte);
  return (
    starts(0x1f, 0x8b) ||
    starts(0x42, 0x5a, 0x68) ||
    starts(0xfd, 0x37, 0x7a, 0x58, 0x5a) ||
    starts(0x28, 0xb5, 0x2f, 0xfd) ||
    isTarHeader(bytes)
  );
}

/**
 * Tests the checksum of the header block, because the oldest tar archives have no magic number. The
 * checksum field itself counts as blanks (POSIX.1-2024, pax, ustar header block).
 */
function isTarHeader(bytes: Buffer): boolean {
  if (bytes.length < 512 || bytes[0] === 0) return false;
  const sum = bytes
    .subarray(0, 512)
    .reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  const field = bytes
    .subarray(148, 156)
    .toString('latin1')
    .replace(/[\0 ].*$/s, '');
  return /^[0-7]+$/.test(field) && Number.parseInt(field, 8) === sum;
}
