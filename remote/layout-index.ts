import { isDigest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';
import { layoutFrame } from '../exporter/layout.ts';
import { writeLayoutDirectory } from '../exporter/layout-directory.ts';

/**
 * Names images in the index of the OCI layout at `root`, whose blobs a server has written. Others
 * in the index stay.
 */
export async function putInIndex(root: string, entries: readonly Descriptor[]): Promise<void> {
  const copy = async () => {
    throw new Error('a frame of a layout has no blobs');
  };
  const { signal } = new AbortController();
  await writeLayoutDirectory(root, layoutFrame([]), entries, { copy }, signal);
}

/** Reads the descriptor that an exporter tells, as JSON or as JSON in base64. */
export function descriptorIn(text: string | undefined): Descriptor | undefined {
  if (text === undefined) return undefined;
  try {
    const json = text.startsWith('{') ? text : Buffer.from(text, 'base64').toString();
    const { mediaType, digest, size } = JSON.parse(json) as Partial<Descriptor>;
    if (
      typeof mediaType !== 'string' ||
      !isDigest(digest ?? '') ||
      !digest ||
      !Number.isSafeInteger(size)
    )
      return undefined;
    return { mediaType, digest, size: Number(size) };
  } catch {
    return undefined;
  }
}
