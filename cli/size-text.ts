import { bytes } from '../base/units.ts';
import type { Sizes } from '../images/sizes.ts';

/** The fields of a list about sizes: texts for people, and numbers of bytes for programs. */
export function sizeFields({ unpacked, compressed }: Sizes) {
  const known = (size: number | undefined) => (size === undefined ? 'unknown' : bytes(size));
  return {
    // A layer that was only downloaded has no other size yet.
    Size:
      unpacked === undefined && compressed !== undefined
        ? `${bytes(compressed)} compressed`
        : known(unpacked),
    CompressedSize: known(compressed),
    SizeBytes: unpacked ?? null,
    CompressedSizeBytes: compressed ?? null,
  };
}
