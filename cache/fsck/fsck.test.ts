/** Builds go on while the store is checked, and a repair takes nothing from them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../base/digest.ts';
import { MEDIA } from '../../base/oci.ts';
import { LayerTable } from '../../snapshotter/overlay/layers.ts';
import { inlineJobs } from '../../snapshotter/overlay/pooled-jobs.ts';
import { openServices, type StoreServices } from '../../snapshotter/overlay/services.ts';
import type { LayerId, LayerInfo } from '../../snapshotter/snapshotter.ts';
import { bootId } from '../../snapshotter/store/owner.ts';
import { openStore, type Store } from '../../snapshotter/store/root.ts';
import { openRecords } from '../records.ts';
import { repair } from './fsck.ts';

const NAME = 'docker.io/library/x:latest';
const never = new AbortController().signal;
const jobs = inlineJobs();

class Stage implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), 'kiln-fsck-'));
  readonly store: Store;
  readonly services: StoreServices;
  readonly table: LayerTable;

  constructor() {
    this.store = openStore(join(this.root, 'store'));
    openRecords(this.store);
    this.services = openServices(this.store);
    this.table = new LayerTable(this.store);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.services.snapshotter[Symbol.asyncDispose]();
    this.store.close();
    rmSync(this.root, { recursive: true, force: true });
  }

  /** A layer of a step, as a build leaves it until its end: no digest is recorded. */
  layer(): LayerId {
    const directory = this.store.scratchPath('made');
    mkdirSync(join(directory, 'fs'), { recursive: true });
    writeFileSync(join(directory, 'fs', 'f'), 'f');
    const id = digestOf('layer').slice(7, 39) as LayerId;
    this.table.add({ id, alone: true, created: Date.now(), boot: bootId() }, directory);
    return id;
  }

  /** The end of a build: the digest is recorded, and the image gets its name. */
  finish(id: LayerId, info: LayerInfo): void {
    const { content, images } = this.services;
    const put = (document: object, mediaType: string) => {
      const bytes = Buffer.from(JSON.stringify(document));
      return { mediaType, digest: content.put(bytes), size: bytes.length };
    };
    this.table.describe(id, info);
    const rootfs = { type: 'layers', diff_ids: [info.diffId] };
    const config = put({ os: 'linux', rootfs }, MEDIA.ociConfig);
    const layers = [{ mediaType: MEDIA.ociLayer, digest: info.diffId, size: info.tarSize }];
    const manifest = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers };
    const target = put(manifest, MEDIA.ociManifest);
    images.put({ name: NAME, target, configs: [config.digest], created: Date.now() });
    // The process of the build ends, and uses nothing any more.
    this.store.lease.close();
  }
}

for (const moment of ['list', 'isMirrored'] as const)
  test(`a repair leaves what a build finishes meanwhile, before images.${moment}`, async () => {
    await using stage = new Stage();
    const { images } = stage.services;
    const id = stage.layer();
    const info = await jobs.describe({ files: join(stage.store.layers, id, 'fs') }, never);
    stage.store.lease.close();
    let isFinished = false;
    const finishAt = (now: string) => {
      if (now === moment && !isFinished) {
        isFinished = true;
        stage.finish(id, info);
      }
    };
    const world = {
      ...stage.services,
      jobs,
      searchPath: undefined,
      images: {
        remove: (name: string) => images.remove(name),
        mirror: () => images.mirror(),
        list: () => {
          finishAt('list');
          return images.list();
        },
        isMirrored: () => {
          finishAt('isMirrored');
          return images.isMirrored();
        },
      },
    };
    const { report, left } = await repair(world, never);
    assert.ok(isFinished);
    assert.equal([report.problems, left], [[], []]);
    assert.ok(images.get(NAME), 'the image lost its name');
    assert.is(stage.table.missing([id]), undefined, 'the layer was removed');
  });

test('a repair removes a layer that no build describes', async () => {
  await using stage = new Stage();
  const id = stage.layer();
  stage.store.lease.close();
  const { report } = await repair({ ...stage.services, jobs, searchPath: undefined }, never);
  assert.equal(report.problems, []);
  assert.is(stage.table.missing([id]), id);
});

test.run();
