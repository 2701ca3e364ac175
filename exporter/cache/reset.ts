import { type Digest, hexOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { type Layout, openLayout } from '../../registry/layout.ts';
import { INDEX_TYPES, MANIFEST_TYPES, parseDocument } from '../../registry/parse-document.ts';
import type { Timespec } from '../../snapshotter/sys/calls.ts';
import { S } from '../../snapshotter/sys/constants.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';

const BLOBS = 'blobs/sha256';
/** A manifest of a cache lists each blob. */
const MAX_DOCUMENT = 32 << 20;

/**
 * Removes the blobs of the layout at `root` that its index does not lead to. Those that were
 * written after `since` (milliseconds since 1970) stay: another build may be about to name them.
 * When a document cannot be read, it is not known what it needs, and nothing is removed.
 */
export function removeUnreferenced(root: string, since: number): void {
  const needed = blobsNeeded(root);
  if (!needed) return;
  using layout = openRoot(root);
  for (const name of layout.readdir(BLOBS)) {
    if (!/^[0-9a-f]{64}$/.test(name) || needed.has(name)) continue;
    const blob = `${BLOBS}/${name}`;
    const there = layout.stat(blob, { follow: false });
    const isFile = there !== undefined && (there.mode & S.IFMT) === S.IFREG;
    if (isFile && msOf(there.mtime) < since - COARSE) layout.remove(blob);
  }
}

/** Times of files may be behind the clock by so many milliseconds. */
const COARSE = 100;

function msOf({ sec, nsec }: Timespec): number {
  return sec * 1000 + nsec / 1e6;
}

/** The names of the blobs that the index leads to. */
function blobsNeeded(root: string): ReadonlySet<string> | undefined {
  const needed = new Set<Digest>();
  using layout = openLayout(root);
  const open = [...layout.index.manifests];
  for (let next = open.pop(); next; next = open.pop()) {
    if (needed.has(next.digest)) continue;
    needed.add(next.digest);
    const inner = namedIn(next, layout);
    if (!inner) return undefined;
    open.push(...inner);
  }
  return new Set([...needed].map(hexOf));
}

/** What a document names. Undefined when it cannot be read. */
function namedIn(descriptor: Descriptor, layout: Layout): readonly Descriptor[] | undefined {
  const { mediaType, digest } = descriptor;
  if (!INDEX_TYPES.includes(mediaType) && !MANIFEST_TYPES.includes(mediaType)) return [];
  try {
    const bytes = layout.read(descriptor, MAX_DOCUMENT);
    const document = parseDocument(bytes, mediaType, digest);
    if (document.kind === 'index') return document.index.manifests;
    return [document.manifest.config, ...document.manifest.layers];
  } catch (error) {
    if (error instanceof KilnError) return undefined;
    throw error;
  }
}
