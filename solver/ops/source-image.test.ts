import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../../base/digest.ts';
import { CancelledError, KilnError } from '../../base/errors.ts';
import type { StatusEvent } from '../../base/progress.ts';
import { imageSources } from '../../registry/pull.ts';
import { never } from '../../registry/testing/client.ts';
import { memoryContent } from '../../registry/testing/content.ts';
import { makeImage } from '../../registry/testing/images.ts';
import { writeLayout } from '../../registry/testing/layouts.ts';
import type { ImageStore } from '../../snapshotter/images.ts';
import type { ImageLayer, LayerId, Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';
import type { BuildResult } from '../result.ts';
import { stepSession } from '../step-session.ts';
import { imageResolver, sourceImageOp } from './source-image.ts';

const AMD64 = { os: 'linux', architecture: 'amd64' };
const IMAGE = makeImage(['a', 'b', 'c'].map((name) => ({ name, text: name })));
const DIFF_IDS = IMAGE.config.rootfs!.diff_ids;
const NO_IMAGES: ImageStore = {
  get: () => undefined,
  list: () => [],
  put: () => {},
  remove: () => false,
};

type Unpack = (
  layer: ImageLayer,
  below: () => Promise<Snapshot>,
  signal: AbortSignal,
) => Promise<LayerId>;

/**
 * The services of the op, with a layout that has IMAGE. Layers in `present` are already unpacked.
 */
function worldOver(directory: string, unpack: Unpack, present: readonly Digest[] = []) {
  writeLayout(directory, [[IMAGE, 'v1']]);
  const content = memoryContent();
  const snapshotter: Pick<Snapshotter, 'find' | 'unpack' | 'touch'> = {
    find: (diffId) => (present.includes(diffId) ? (`had-${diffId}` as LayerId) : undefined),
    unpack: (layer, below, signal = never()) =>
      unpack(layer, typeof below === 'function' ? below : async () => below, signal),
    touch: () => {},
  };
  const sources = imageSources({ content, images: NO_IMAGES, registry: {} });
  return { sources, images: () => sources, snapshotter: snapshotter as Snapshotter, content };
}

function inDirectory(work: (directory: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kiln-source-'));
    try {
      await work(directory);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
}

const layersOf = ([result]: readonly BuildResult[]) =>
  result?.kind === 'snapshot' ? result.snapshot.layers : [];
const named = async (layer: ImageLayer) => `new-${layer.diffId}` as LayerId;
const opOver = (directory: string, world: ReturnType<typeof worldOver>) =>
  sourceImageOp(
    { identifier: 'oci-layout://x:v1', attrs: { 'oci.store': directory } },
    AMD64,
    world,
  );
/** Its layouts have their paths as names. */
const session = stepSession({ layout: async (name) => name });
const context = (signal = never(), events: StatusEvent[] = []) => ({
  signal,
  vertex: digestOf('vertex'),
  session,
  started: () => {},
  progress: (event: unknown) => void events.push(event as StatusEvent),
});

test(
  'the key is the chain of diffIDs and needs no layer',
  inDirectory(async (directory) => {
    const world = worldOver(directory, named);
    const { parts, volatile } = await opOver(directory, world).cacheMap(never(), context());
    const pair = digestOf(`${DIFF_IDS[0]} ${DIFF_IDS[1]}`);
    assert.equal(parts, [{ name: 'image layers', value: digestOf(`${pair} ${DIFF_IDS[2]}`) }]);
    assert.not.ok(volatile);
    assert.ok(
      IMAGE.manifest.layers.every(({ digest }) => world.content.size(digest) === undefined),
    );
  }),
);

test(
  'only missing layers are fetched and unpacked',
  inDirectory(async (directory) => {
    const world = worldOver(directory, named, [DIFF_IDS[1]!]);
    const events: StatusEvent[] = [];
    const results = await opOver(directory, world).run([], context(never(), events));
    assert.equal(layersOf(results), [
      `new-${DIFF_IDS[0]}`,
      `had-${DIFF_IDS[1]}`,
      `new-${DIFF_IDS[2]}`,
    ]);
    assert.is(
      world.content.size(IMAGE.manifest.layers[1]!.digest),
      undefined,
      'the layer that is there is not fetched',
    );
    for (const layer of [IMAGE.manifest.layers[0]!, IMAGE.manifest.layers[2]!]) {
      for (const id of [layer.digest, `extracting ${layer.digest}`]) {
        const last = events.filter((event) => event.id === id).at(-1);
        assert.ok(last?.completed !== undefined && last.current === last.total, id);
      }
    }
  }),
);

test(
  'layers are unpacked at the same time, except one that needs those below',
  inDirectory(async (directory) => {
    const all = Promise.withResolvers<void>();
    let begun = 0;
    let seen: Snapshot | undefined;
    const world = worldOver(directory, async (layer, below) => {
      if (++begun === DIFF_IDS.length) all.resolve();
      await all.promise;
      if (layer.diffId === DIFF_IDS[2]) seen = await below();
      return named(layer);
    });
    await opOver(directory, world).run([], context());
    assert.equal(seen?.layers, [`new-${DIFF_IDS[0]}`, `new-${DIFF_IDS[1]}`]);
  }),
);

test(
  'the first failure aborts the other layers and is reported',
  inDirectory(async (directory) => {
    const world = worldOver(directory, async (layer, _below, signal) => {
      if (layer.diffId === DIFF_IDS[1]) throw new KilnError('KILN_DIGEST_MISMATCH', 'bad layer');
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(new Error('ended')), { once: true }),
      );
    });
    const error = await opOver(directory, world)
      .run([], context())
      .catch((caught: unknown) => caught);
    assert.ok(error instanceof KilnError && error.message === 'bad layer');
  }),
);

test(
  'the resolver and the op find a layout of --build-context by its name',
  inDirectory(async (directory) => {
    const layouts = new Map([['base', directory]]);
    const world = worldOver(directory, named);
    const session = stepSession({ layout: async (name) => layouts.get(name) });
    const answer = await imageResolver(world.sources, never(), layouts)(
      'oci-layout://base:v1',
      AMD64,
      { pull: false },
    );
    assert.is(answer.digest, IMAGE.target.digest);
    const identifier = `oci-layout://docker.io/library/debian:latest@${answer.digest}`;
    const results = await sourceImageOp(
      { identifier, attrs: { 'oci.store': 'base' } },
      AMD64,
      world,
    ).run([], { ...context(), session });
    assert.is(layersOf(results).length, DIFF_IDS.length);
  }),
);

test(
  'cancelling a build while it resolves the image does not affect another build',
  inDirectory(async (directory) => {
    const world = worldOver(directory, named);
    const cancel = new AbortController();
    const asking = Promise.withResolvers<void>();
    const resolve: typeof world.sources.resolve = async (ref, platform, options) => {
      if (options.signal !== cancel.signal)
        return await world.sources.resolve(ref, platform, options);
      asking.resolve();
      return await new Promise((_, reject) =>
        cancel.signal.addEventListener('abort', () => reject(cancel.signal.reason)),
      );
    };
    const op = opOver(directory, { ...world, images: () => ({ ...world.sources, resolve }) });
    const first = op.cacheMap(cancel.signal, context()).catch((error: unknown) => error);
    const second = op.cacheMap(never(), context());
    await asking.promise;
    cancel.abort(new CancelledError());
    assert.instance(await first, CancelledError);
    assert.is((await second).parts.length, 1);
  }),
);

test(
  'a graph cannot name a layout by its path',
  inDirectory(async (directory) => {
    const world = worldOver(directory, named);
    const told = { ...context(), session: stepSession({ layout: async () => undefined }) };
    const wanted = (error: KilnError) => error.code === 'KILN_GRAPH_INVALID';
    for (const attrs of [{}, { 'oci.store': directory }]) {
      const op = sourceImageOp({ identifier: `oci-layout://${directory}:v1`, attrs }, AMD64, world);
      const refused = await op.cacheMap(never(), told).catch((error) => error);
      assert.ok(wanted(refused), String(refused));
    }
    const resolve = imageResolver(world.sources, never(), new Map());
    const ref = `oci-layout://${directory}:v1`;
    assert.ok(wanted(await resolve(ref, AMD64, { pull: false }).catch((error) => error)));
  }),
);

test(
  'the resolver returns name, digest and config',
  inDirectory(async (directory) => {
    const { sources } = worldOver(directory, named);
    const layouts = new Map([['here', directory]]);
    const resolve = imageResolver(sources, never(), layouts);
    const answer = await resolve('oci-layout://here:v1', AMD64, { pull: false });
    assert.equal(answer, {
      name: `oci-layout://${directory}`,
      digest: IMAGE.target.digest,
      config: IMAGE.config,
      local: true,
    });
  }),
);

test.run();
