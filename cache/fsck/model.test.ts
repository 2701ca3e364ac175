/**
 * Random stores are checked against one rule: after any sequence of operations, every listed image
 * is complete and fsck finds no fault. Layers share bytes, and images share layers, documents and
 * platforms; the operations include every one that removes something. Then something is damaged,
 * and a repair must restore the rule. KILN_SOAK=1 takes 300 stores; KILN_SEED=n repeats a run.
 */
import {
  closeSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Digest, digestOf } from '../../base/digest.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import { LayerTable } from '../../snapshotter/overlay/layers.ts';
import { inlineJobs } from '../../snapshotter/overlay/pooled-jobs.ts';
import { openServices, type StoreServices } from '../../snapshotter/overlay/services.ts';
import type { LayerId } from '../../snapshotter/snapshotter.ts';
import { bootId } from '../../snapshotter/store/owner.ts';
import { openStore, type Store } from '../../snapshotter/store/root.ts';
import { prune } from '../gc/collect.ts';
import { namedBy } from '../gc/document-names.ts';
import { parseFilterFlags } from '../gc/filter.ts';
import { needsOf } from '../gc/needs.ts';
import type { PrunePolicy } from '../gc/policy.ts';
import { openRecords } from '../records.ts';
import { fsck, repair } from './fsck.ts';

const never = new AbortController().signal;
const jobs = inlineJobs();

const few = fc.nat(3);
const stack = fc.array(fc.nat(7), { minLength: 1, maxLength: 4 });
const image = fc.record({
  platforms: fc.array(stack, { minLength: 1, maxLength: 2 }),
  attested: fc.boolean(),
  packed: fc.constantFrom('uncompressed' as const, 'gzip' as const),
  name: fc.option(few, { nil: undefined }),
});
type ImagePlan = typeof image extends fc.Arbitrary<infer T> ? T : never;

const operation = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('layer' as const), bytes: few, clamp: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pull' as const), bytes: few }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('image' as const), image }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('record' as const), stack }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('untag' as const), name: few }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lease' as const), layer: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pack' as const), layer: fc.nat(7) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('prune' as const),
      all: fc.boolean(),
      maxUsed: fc.constantFrom(0, 0, 20_000, 60_000),
      filter: fc.constantFrom<readonly string[]>(
        [],
        [],
        ['type=regular'],
        ['until=0s'],
        ['type=internal'],
        ['description~=layer'],
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rmi' as const), at: few }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose the index' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('flip' as const),
      at: fc.nat(1000),
      byte: fc.nat(1_000_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('take away' as const), at: fc.nat(1000) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), at: fc.nat(1000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('nonsense' as const),
      table: fc.nat(10),
      row: fc.nat(20),
      column: fc.nat(10),
      value: fc.constantFrom('', '{"half":', '[', 'sha256:zz', '../../..', -1, null),
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

class Model implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), 'kiln-model-'));
  #store: Store;
  #services: StoreServices;
  #table: LayerTable;
  /** Another process that uses something. */
  #other: Store | undefined;
  readonly #layers: LayerId[] = [];
  #made = 0;

  constructor() {
    [this.#store, this.#services, this.#table] = this.#open();
  }

  #open(): [Store, StoreServices, LayerTable] {
    const store = openStore(join(this.root, 'store'));
    openRecords(store);
    return [store, openServices(store), new LayerTable(store)];
  }

  async #reopen(): Promise<void> {
    await this.#services.snapshotter[Symbol.asyncDispose]();
    this.#store.close();
    [this.#store, this.#services, this.#table] = this.#open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#other?.close();
    await this.#services.snapshotter[Symbol.asyncDispose]();
    this.#store.close();
    rmSync(this.root, { recursive: true, force: true });
  }

  /** Everything that a command used is free when it ends. */
  #rest(): void {
    this.#store.lease.close();
  }

  async apply(operation: Operation): Promise<void> {
    const path = this.#store.root;
    switch (operation.kind) {
      case 'layer':
        return await this.#layer(operation.bytes, operation.clamp);
      case 'pull':
        return await this.#pull(operation.bytes);
      case 'image':
        return await this.#image(operation.image);
      case 'record':
        return this.#record(operation.stack);
      case 'untag':
        return void this.#services.images.remove(`docker.io/library/i${operation.name}:latest`);
      case 'rmi': {
        const images = this.#services.images.list();
        const one = images[operation.at % Math.max(1, images.length)];
        if (one) this.#services.images.remove(one.name);
        await prune(this.#services, [], never);
        return await this.#reopen();
      }
      case 'lease': {
        this.#other ??= openStore(path);
        const id = this.#layers[operation.layer];
        if (id) new LayerTable(this.#other).missing([id]);
        return;
      }
      case 'release':
        this.#other?.close();
        this.#other = undefined;
        return;
      case 'pack': {
        const id = this.#present([operation.layer])[0];
        if (id) await this.#services.packer.pack(id, { compression: 'gzip', force: true });
        return this.#rest();
      }
      case 'prune': {
        const policy: PrunePolicy = {
          name: '',
          ...parseFilterFlags(operation.filter),
          all: operation.all,
          reserved: 0,
          maxUsed: operation.maxUsed,
          minFree: 0,
        };
        await prune(this.#services, [policy], never);
        return await this.#reopen();
      }
      case 'lose the index':
        for (const file of globSync(join(path, 'kiln.db*'))) rmSync(file);
        return await this.#reopen();
      default:
        return await this.#damage(operation);
    }
  }

  async #damage(operation: Operation): Promise<void> {
    const path = this.#store.root;
    const files = globSync([
      join(path, 'blobs/sha256/*'),
      join(path, 'layers/*/fs/**'),
      join(path, 'layers/*/layer.json'),
      join(path, 'images.json'),
    ])
      .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile())
      .sort();
    const chosen = 'at' in operation ? files[operation.at % Math.max(1, files.length)] : undefined;
    if (operation.kind === 'flip' && chosen) flip(chosen, operation.byte);
    if (operation.kind === 'cut' && chosen)
      truncateSync(chosen, Math.floor(statSync(chosen).size / 2));
    if (operation.kind === 'take away' && chosen) rmSync(chosen);
    if (operation.kind === 'nonsense') this.#nonsense(operation);
    // A process that read an item before it was damaged is not part of this test.
    await this.#reopen();
    this.#other?.close();
    this.#other = undefined;
    const world = { ...this.#services, jobs, searchPath: process.env['PATH'] };
    const { left } = await repair(world, never);
    assert.equal(left, []);
  }

  #nonsense({ table, row, column, value }: Operation & { kind: 'nonsense' }): void {
    const { db } = this.#store;
    const tables = ['layers', 'forms', 'images', 'record', 'link'];
    const name = tables[table % tables.length]!;
    const columns = db.all<{ name: string }>(`PRAGMA table_info(${name})`).map((one) => one.name);
    const rows = db.all<Record<string, string | number | null>>(`SELECT * FROM ${name}`);
    const one = rows[row % Math.max(1, rows.length)];
    const key = columns[column % Math.max(1, columns.length)];
    if (!one || key === undefined) return;
    const where = columns.map((each) => `${each} IS ?`).join(' AND ');
    try {
      db.run(
        `UPDATE ${name} SET ${key} = ? WHERE ${where}`,
        value,
        ...columns.map((each) => one[each]!),
      );
    } catch {
      // The table refuses the value (NOT NULL, or a key that exists).
    }
  }

  async #layer(bytes: number, clamp: boolean): Promise<void> {
    const directory = this.#store.scratchPath('made');
    mkdirSync(join(directory, 'fs'), { recursive: true });
    const file = join(directory, 'fs', 'f');
    writeFileSync(file, String(bytes).repeat(5000), { mode: 0o644 });
    // The same bytes make the same layers.
    for (const path of [file, join(directory, 'fs')])
      (await import('node:fs')).utimesSync(path, 1000, 1000);
    const id = digestOf(`layer ${this.#made++}`).slice(7, 39) as LayerId;
    this.#table.add(
      { id, alone: true, created: 1_700_000_000_000 + this.#made, boot: bootId() },
      directory,
    );
    const shown = clamp
      ? this.#table.packedAs(id, { clamp: 500, windows: this.#made % 2 > 0 })
      : id;
    await this.#services.snapshotter.describe(shown);
    this.#layers.push(shown);
    this.#rest();
  }

  /** A layer that came as a blob. Its tar has not the order and form that Kiln gives to a tar. */
  async #pull(bytes: number): Promise<void> {
    const { blob, diffId } = foreignLayer(bytes);
    const digest = this.#services.content.put(blob);
    const layer = { diffId, blob: digest, mediaType: MEDIA.ociLayerGzip };
    const id = await this.#services.snapshotter.unpack(layer, { layers: [] });
    assert.ok(id.startsWith('d'));
    this.#layers.push(id);
    this.#rest();
  }

  #present(at: readonly number[]): LayerId[] {
    return at
      .flatMap((one) => this.#layers[one] ?? [])
      .filter((id) => this.#table.missing([id]) === undefined);
  }

  #record(at: readonly number[]): void {
    const layers = this.#present(at);
    const records = openRecords(this.#store);
    const key = digestOf(`record ${layers.join()}`);
    records.save({
      key,
      outputs: [{ layers }],
      parts: [{ name: 'command', value: 'x' }],
      description: 'RUN x',
      created: Date.now(),
      durationMs: 1,
    });
    records.link(digestOf(`definition ${layers.join()}`), key);
    records.flush();
    this.#rest();
  }

  /** Like an exporter: blobs, config, manifest, index, and then the name. */
  async #image({ platforms, attested, packed, name }: ImagePlan): Promise<void> {
    const { content, images, snapshotter, packer } = this.#services;
    const put = (document: object, mediaType: string): Descriptor => {
      const bytes = Buffer.from(JSON.stringify(document));
      return { mediaType, digest: content.put(bytes), size: bytes.length };
    };
    const manifests: Descriptor[] = [];
    const configs: Digest[] = [];
    for (const [at, plan] of platforms.entries()) {
      const ids = this.#present(plan);
      const infos = await Promise.all(ids.map((id) => snapshotter.describe(id)));
      const config = put(
        {
          architecture: `a${at}`,
          os: 'linux',
          rootfs: { type: 'layers', diff_ids: infos.map(({ diffId }) => diffId) },
        },
        MEDIA.ociConfig,
      );
      const layers: Descriptor[] = [];
      for (const [index, id] of ids.entries()) {
        const form =
          packed === 'gzip' || (await packer.pulled(id))
            ? await packer.pack(id, { compression: 'gzip', force: true })
            : undefined;
        const { diffId, tarSize } = infos[index]!;
        layers.push(
          form
            ? { mediaType: form.mediaType, digest: form.digest, size: form.size }
            : { mediaType: MEDIA.ociLayer, digest: diffId, size: tarSize },
        );
      }
      configs.push(config.digest);
      manifests.push(
        put({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers }, MEDIA.ociManifest),
      );
    }
    if (attested) {
      const statement = put(
        { _type: 'https://in-toto.io/Statement/v0.1', of: manifests[0]!.digest },
        'application/vnd.in-toto+json',
      );
      const config = put(
        {
          architecture: 'unknown',
          os: 'unknown',
          config: {},
          rootfs: { type: 'layers', diff_ids: [statement.digest] },
        },
        MEDIA.ociConfig,
      );
      manifests.push(
        put(
          { schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers: [statement] },
          MEDIA.ociManifest,
        ),
      );
    }
    const target =
      manifests.length === 1
        ? manifests[0]!
        : put({ schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests }, MEDIA.ociIndex);
    const full = name === undefined ? target.digest : `docker.io/library/i${name}:latest`;
    images.put({ name: full, target, configs, created: Date.now() });
    this.#rest();
  }

  /** Checks the rule. */
  async check(where: string): Promise<void> {
    const { store, images } = this.#services;
    const read = (digest: Digest) => {
      const path = join(store.blobs, digest.slice(7));
      return existsSync(path) ? namedBy(readFileSync(path, 'utf8')) : undefined;
    };
    for (const one of images.list()) {
      const needs = needsOf(one, read);
      assert.is(needs.lacks, undefined, `${where}: ${one.name}`);
      for (const { diffId, blob } of needs.layers) {
        const isHere =
          (blob !== undefined && existsSync(join(store.blobs, blob.slice(7)))) ||
          (diffId !== undefined && this.#table.find(diffId) !== undefined);
        assert.ok(isHere, `${where}: ${one.name} lacks ${diffId ?? blob}`);
      }
    }
    this.#rest();
    const { problems, unproven } = await fsck(
      { ...this.#services, jobs, searchPath: process.env['PATH'] },
      never,
    );
    assert.equal(
      problems.map(({ what }) => what),
      [],
      where,
    );
    assert.equal(unproven, [], where);
    this.#rest();
  }
}

/** The gzip of a tar with one file and the simplest possible header. */
function foreignLayer(bytes: number): { readonly blob: Buffer; readonly diffId: Digest } {
  const body = Buffer.from(`foreign ${bytes}`.padEnd(512));
  const header = Buffer.alloc(512);
  header.write('g', 0);
  header.write(
    '0000644\x000000000\x000000000\x0000000001000\x0000000001000\x00        0',
    100,
    'latin1',
  );
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\x00 `, 148, 'latin1');
  const tar = Buffer.concat([header, body, Buffer.alloc(1024)]);
  return { blob: gzipSync(tar), diffId: digestOf(tar) };
}

function flip(path: string, at: number): void {
  const size = statSync(path).size;
  if (size === 0) return;
  const bytes = readFileSync(path);
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.of(bytes[at % size]! ^ 0xff), 0, 1, at % size);
  closeSync(fd);
}

test('after any operations every listed image is complete, and fsck finds no fault', async () => {
  const seed = process.env['KILN_SEED']
    ? Number(process.env['KILN_SEED'])
    : Math.floor(Math.random() * 2 ** 31);
  const numRuns = process.env['KILN_SOAK'] ? Number(process.env['KILN_SOAK']) || 300 : 10;
  console.log(`store model: ${numRuns} stores, KILN_SEED=${seed}`);
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 30 }), async (operations) => {
      await using model = new Model();
      for (let at = 0; at < 4; at++)
        await model.apply({ kind: 'layer', bytes: at % 3, clamp: false });
      for (const [at, operation] of operations.entries()) {
        await model.apply(operation);
        await model.check(`operation ${at}, ${JSON.stringify(operation)}`);
      }
    }),
    { seed, numRuns, includeErrorInReport: true },
  );
});

test.run();
