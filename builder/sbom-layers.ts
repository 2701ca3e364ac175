import { posix } from 'node:path';
import type { Descriptor } from '../base/oci.ts';
import type { Predicate } from '../exporter/attest/attestation.ts';
import { isObject } from '../registry/json-fields.ts';
import { isWhiteout } from '../snapshotter/layer/marks.ts';
import type { Snapshot, Snapshotter } from '../snapshotter/snapshotter.ts';
import { openRoot, type Root } from '../snapshotter/sys/rooted.ts';

/** What is read of SPDX. It comes from a scanner, so nothing in it is sure. */
interface SpdxDocument {
  readonly files?: unknown;
  readonly packages?: unknown;
  readonly creationInfo?: unknown;
}

/**
 * Writes at each file of an SBOM in which layer of the image it is, as BuildKit does: `layerID:`
 * and the digest of the layer, as the comment of a file that has none. `layers` are those of the
 * image, in the order of `snapshot`.
 */
export async function withLayers(
  predicate: Predicate,
  snapshot: Snapshot,
  layers: readonly Descriptor[],
  snapshotter: Pick<Snapshotter, 'directories'>,
): Promise<Predicate> {
  if (snapshot.layers.length !== layers.length) return predicate;
  using stack = new DisposableStack();
  const roots = snapshot.layers.flatMap((layer, index) =>
    snapshotter
      .directories(layer)
      .map((path) => ({ root: stack.use(openRoot(path)), digest: layers[index]!.digest })),
  );
  // A file is in the topmost layer that has it.
  roots.reverse();
  let looked = 0;
  const commented: Change = async (file) => {
    // Other builds go on meanwhile.
    if (++looked % 100 === 0) await new Promise(setImmediate);
    if (!isObject(file) || typeof file['fileName'] !== 'string' || file['comment']) return file;
    const path = posix.join('/', file['fileName']).slice(1);
    const found = roots.find(({ root }) => has(root, path));
    return found ? { ...file, comment: `layerID: ${found.digest}` } : file;
  };
  const document = predicate.body as SpdxDocument;
  const { creationInfo, packages } = document;
  const body = {
    ...(await withFiles(document, commented)),
    ...(Array.isArray(packages) && {
      packages: await changed(packages, async (found) =>
        isObject(found) ? await withFiles(found, commented) : found,
      ),
    }),
    ...(isObject(creationInfo) &&
      Array.isArray(creationInfo['creators']) && {
        creationInfo: {
          ...creationInfo,
          creators: [...creationInfo['creators'], 'Tool: kiln'],
        },
      }),
  };
  return { ...predicate, body };
}

type Change = (value: unknown) => Promise<unknown>;

async function withFiles(holder: SpdxDocument, change: Change): Promise<object> {
  const { files } = holder;
  return Array.isArray(files) ? { ...holder, files: await changed(files, change) } : holder;
}

async function changed(list: readonly unknown[], change: Change): Promise<unknown[]> {
  const made: unknown[] = [];
  for (const value of list) made.push(await change(value));
  return made;
}

function has(root: Root, path: string): boolean {
  if (path === '' || path.includes('\0')) return false;
  try {
    const stat = root.stat(path, { follow: false });
    return stat !== undefined && !isWhiteout(stat);
  } catch {
    // A path that no file can have is in no layer.
    return false;
  }
}
