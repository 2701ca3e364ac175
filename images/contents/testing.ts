import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { digestOf } from '../../base/digest.ts';
import { type ImageConfig, MEDIA } from '../../base/oci.ts';
import { archive, type Member } from '../../snapshotter/layer/archive.fixture.ts';
import { LayeredTree } from './layered-tree.ts';
import { ViewCache } from './layers-view.ts';
import type { OpenContents } from './open-contents.ts';
import { type LayerSource, readLayer } from './read-layer.ts';

/** The members of the tar of a layer, or the tar itself. */
export type LayerMembers = readonly Member[] | Buffer;

/** For tests: the contents of an image whose layers are blobs with these members. */
export class MadeContents implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'kiln-contents-'));

  async of(
    layers: readonly LayerMembers[],
    config: Partial<ImageConfig> = {},
  ): Promise<OpenContents> {
    const blobs = layers.map((members) =>
      gzipSync(Buffer.isBuffer(members) ? members : archive(...(members as Member[]))),
    );
    const sources = blobs.map((bytes): LayerSource => {
      const blob = join(this.directory, digestOf(bytes).slice(7));
      writeFileSync(blob, bytes);
      return { kind: 'blob', blob };
    });
    const tree = new LayeredTree();
    for (const source of sources) {
      tree.begin();
      await readLayer(tree, source, new AbortController().signal);
      tree.end();
    }
    const digests = blobs.map(digestOf);
    const descriptors = blobs.map((bytes, at) => ({
      mediaType: MEDIA.ociLayerGzip,
      digest: digests[at]!,
      size: bytes.length,
    }));
    const descriptor = (text: string, mediaType: string) => ({
      mediaType,
      digest: digestOf(Buffer.from(text + digests.join())),
      size: 1,
    });
    return {
      name: 'made',
      image: {
        descriptor: descriptor('manifest', MEDIA.ociManifest),
        manifest: {
          schemaVersion: 2,
          mediaType: MEDIA.ociManifest,
          config: descriptor('config', MEDIA.ociConfig),
          layers: descriptors,
        },
        config: {
          architecture: 'amd64',
          os: 'linux',
          rootfs: { type: 'layers', diff_ids: digests },
          history: layers.map((_, at) => ({ created_by: `RUN step ${at}` })),
          ...config,
        },
      },
      sizes: blobs.map((bytes) => ({ unpacked: undefined, compressed: bytes.length })),
      tree,
      sources,
      unreadable: blobs.map(() => undefined),
      views: new ViewCache(tree),
      scratch: (label) => ({
        path: mkdtempSync(join(this.directory, label)),
        [Symbol.dispose]: () => {},
      }),
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
