import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Digest, hexOf } from '../../base/digest.ts';
import { CancelledError, KilnError } from '../../base/errors.ts';
import { type Descriptor, type Index, MEDIA } from '../../base/oci.ts';
import type { RemoteLayer } from '../../cache/remote/record.ts';
import { readCache } from '../../cache/remote/source.ts';
import { indexedManifests } from '../../registry/layout.ts';
import { makeDirectory } from '../../snapshotter/sys/makedirectory.ts';
import { isBlobThere } from '../blob-there.ts';
import { appear, outputError, outputFile, syncFile } from '../destination.ts';
import { layoutIndexJson } from '../image-documents.ts';
import { removeUnreferenced } from './reset.ts';
import { type CacheTarget, oldCache } from './target.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';

/**
 * A cache in a directory: an OCI layout whose index names it by the tag `tag`. Blobs are only
 * added, and the index changes last. A blob that is there is kept only when its bytes are right.
 * `copy` writes the verified bytes of a layer to a new file. With `reset`, blobs that no entry of
 * the index needs are removed at the end.
 */
export function localTarget(
  root: string,
  tag: string,
  copy: (layer: RemoteLayer, to: string) => Promise<void>,
  signal: AbortSignal,
  reset = false,
): CacheTarget {
  const noRegistry = () => Promise.reject(new Error('a directory needs no registry'));
  return {
    name: root,
    keepsBlobs: false,
    old: () =>
      oldCache(() =>
        readCache({ type: 'local', src: root, tag, digest: undefined }, noRegistry, signal),
      ),
    async write({ config, manifest }, layers, _old, report) {
      const started = Date.now();
      try {
        makeDirectory(join(root, 'blobs/sha256'));
        const written: string[] = [];
        for (const layer of layers) {
          if (signal.aborted) throw new CancelledError(signal.reason);
          const { digest } = layer.descriptor;
          const blob = blobPath(root, digest);
          if (isBlobThere(blob, layer.descriptor)) continue;
          const make = async (path: string) => {
            await copy(layer, path);
            // Blobs in the store are readable by their owner only. A cache must be readable by
            // anyone who copies it to another machine.
            chmodSync(path, 0o644);
          };
          await place(blob, make, 'later');
          written.push(blob);
          report.done(`writing layer ${digest}`);
        }
        await Promise.all(written.map((path) => syncFile(path, outputFile(path))));
        await write(blobPath(root, config.descriptor.digest), config.bytes);
        report.done(`writing config ${config.descriptor.digest}`);
        await write(blobPath(root, manifest.digest), manifest.bytes);
        await write(join(root, 'oci-layout'), Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
        const { mediaType, digest, bytes } = manifest;
        const named: Descriptor = {
          mediaType,
          digest,
          size: bytes.byteLength,
          annotations: { [REF_NAME]: tag },
        };
        await write(
          join(root, 'index.json'),
          Buffer.from(layoutIndexJson(withEntry(indexedManifests(root), named, tag))),
        );
        if (reset) removeUnreferenced(root, started);
        return true;
      } catch (error) {
        throw error instanceof KilnError ? error : outputError(error, root);
      }
    },
  };
}

/** The index of the directory with `tag` moved. Entries with other tags are kept. */
function withEntry(entries: readonly Descriptor[], entry: Descriptor, tag: string): Index {
  const kept = entries.filter(
    ({ digest, annotations }) =>
      annotations?.[REF_NAME] !== tag && (digest !== entry.digest || annotations?.[REF_NAME]),
  );
  return { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [...kept, entry] };
}

function blobPath(root: string, digest: Digest): string {
  return join(root, 'blobs/sha256', hexOf(digest));
}

async function write(path: string, bytes: Uint8Array): Promise<void> {
  await place(path, async (temporary) => writeFileSync(temporary, bytes, { flag: 'wx' }), 'now');
}

/** Writes a file completely or not at all, by rename. */
async function place(
  path: string,
  make: (temporary: string) => Promise<void>,
  sync: 'now' | 'later',
): Promise<void> {
  await appear(path, join(dirname(path), `.${process.pid}.part`), outputFile(path), make, sync);
}
