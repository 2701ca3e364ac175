import { digestOf } from '../base/digest.ts';
import type { ContentsEntry, ImageContents, LayerContents } from '../images/contents/contents.ts';
import type { PageSource } from './page-source.ts';

const NONE = { files: 0, bytes: 0 };

function layer(history: number, bytes: number, more: Partial<LayerContents> = {}): LayerContents {
  return {
    diffId: digestOf(`layer ${history}`),
    digest: digestOf(`layer ${history}`),
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    history,
    bytes,
    wasted: 0,
    added: { files: 3, bytes },
    changed: NONE,
    removed: NONE,
    ...more,
  };
}

function entry(id: number, name: string, more: Partial<ContentsEntry> = {}): ContentsEntry {
  return {
    ...{ id, name, type: 'file', change: 'added', layer: 0, mode: 0o644, uid: 0, gid: 0 },
    ...{ size: 1_000_000, modified: 0 },
    ...more,
  };
}

const CONTENTS: ImageContents = {
  version: 1,
  name: 'example/image',
  digest: digestOf('manifest'),
  config: digestOf('config'),
  platform: 'linux/amd64',
  layers: [layer(0, 2e6), layer(1, 60e6), layer(2, 40e6, { wasted: 40e6 }), layer(3, 0)],
  history: ['ADD rootfs.tar /', 'COPY . .', 'RUN unpack', 'RUN rm /tmp/archive'].map(
    (createdBy, index) => ({ createdBy, layer: index }),
  ),
  files: { files: 4, directories: 1, bytes: 62e6 },
  bytes: 102e6,
  wasted: {
    bytes: 40e6,
    share: 0.4,
    paths: 1,
    largest: [{ path: 'tmp/archive', bytes: 40e6, layers: [2], hiddenBy: 3, how: 'removed' }],
  },
  efficiency: 0.6,
  largest: [{ path: 'bin', bytes: 2e6 }],
};

/** The parts of a source that tell of an image: it has a directory with a name that is no UTF-8. */
export const IMAGE_PARTS = {
  images: () => [CONTENTS],
  directory: (_id, _image, { id = 0 }) => {
    const entries =
      id === 0
        ? [
            entry(1, 'bin', { type: 'directory', entries: 1 }),
            entry(2, 'gone', { change: 'removed' }),
          ]
        : [entry(3, '<b>sh\udcff', { change: 'changed' })];
    return { id, path: '', total: entries.length, offset: 0, entries };
  },
  treemap: () => ({
    ...{ id: 0, name: '', bytes: 62e6, isDirectory: true },
    boxes: [
      { id: 4, name: 'src', bytes: 60e6, isDirectory: true, boxes: [] },
      { id: 1, name: 'bin', bytes: 2e6, isDirectory: true, boxes: [] },
    ],
  }),
} satisfies Partial<PageSource>;
