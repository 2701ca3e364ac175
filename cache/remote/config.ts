import { type Digest, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { jsonOf } from '../../registry/json-fields.ts';
import { MAX_OUTPUTS, outputName, type RemoteLayer, type RemoteRecord } from './record.ts';

/**
 * # The cache config, `application/vnd.buildkit.cacheconfig.v0`
 *
 * BuildKit's format (moby/buildkit cache/remotecache/v1, spec.go and doc.go) has a table of layers,
 * each with its parent, and a table of records. A record has a digest, results as indexes of
 * layers, and for each input the records that it may come from.
 *
 * BuildKit puts the digest of an op into a record, and the links say what the op read. A key of
 * Kiln covers all of that, so:
 *
 *     { digest: KEY, layers: […] }
 *         a record, with its result
 *     { digest: LINK, inputs: [[{ link: KEY's record }]] }
 *         a definition key or sighting that leads to it
 *     { digest: KEY }
 *         a step that was seen, but whose result is not in the cache (mode=min)
 *     { digest: outputName(KEY, n), inputs: …, layers: […] }
 *         output n of the same op; each output may be there without the others
 *
 * Each engine can read the other's config: the other's digests are keys that it never looks up.
 * `platforms` and `on`, which say what belongs to which platform, are additions of Kiln. BuildKit
 * ignores unknown fields.
 */
export const CACHE_CONFIG = 'application/vnd.buildkit.cacheconfig.v0';

/** BuildKit refuses to read a config larger than this. */
export const BUILDKIT_LIMIT = 1 << 20;
/** The largest config that is read. A record takes about 400 bytes. */
export const MAX_CACHE_CONFIG = 32 << 20;

/** The JSON of a cache config. */
export interface WireConfig {
  readonly layers?: readonly WireLayer[];
  readonly records?: readonly WireRecord[];
  readonly platforms?: readonly string[];
}

export interface WireLayer {
  readonly blob: Digest;
  /** The index of the layer below, or -1 for none. BuildKit omits a 0. */
  readonly parent?: number;
  /** Caches that are transferred without a manifest describe the blob here. */
  readonly annotations?: {
    readonly mediaType?: string;
    readonly diffID?: Digest;
    readonly size?: number;
  };
}

export interface WireRecord {
  readonly digest: Digest;
  readonly layers?: readonly { readonly layer: number; readonly createdAt?: string }[];
  /** A stack that is not a chain of parents in the table, layer by layer. */
  readonly chains?: readonly { readonly layers: readonly number[]; readonly createdAt?: string }[];
  readonly inputs?: readonly (readonly { readonly selector?: string; readonly link: number }[])[];
  /** Indexes into `platforms`. When absent, all platforms. */
  readonly on?: readonly number[];
}

const DIFF_ID = 'containerd.io/uncompressed';
const CREATED_AT = 'buildkit/createdat';
/** Says that a layer has the form of another system. */
const LAYER_OS = 'kiln/layer-os';
const WINDOWS = 'windows';
/** More layers than any stack that can be mounted. */
const MAX_DEPTH = 1000;

type Json = Readonly<Record<string, unknown>>;

/**
 * The records of a config. `blobs` describes the blobs of layers, and `where` is for messages. A
 * record with a layer that is not described is left out. Throws KILN_CACHE_MALFORMED for a config
 * that BuildKit would refuse as well: indexes out of range, circles, invalid digests.
 */
export function parseCacheConfig(
  json: unknown,
  blobs: ReadonlyMap<Digest, Descriptor>,
  where: string,
): RemoteRecord[] {
  const check = new Checks(where);
  const config = check.object(json, 'the config');
  const layers = layerTable(config, blobs, check);
  const wires = check
    .list(config['records'], 'records')
    .map((record) => readRecord(record, layers, check));
  checkLinks(wires, check);
  const platforms = check
    .list(config['platforms'], 'platforms')
    .filter((name): name is string => typeof name === 'string');
  return recordsOf(wires, platforms);
}

export function parseCacheBytes(
  bytes: Uint8Array,
  blobs: ReadonlyMap<Digest, Descriptor>,
  where: string,
): RemoteRecord[] {
  const json = jsonOf(bytes);
  if (!json) throw malformed(where, 'it is not JSON');
  return parseCacheConfig(json.value, blobs, where);
}

/**
 * The layer that a descriptor of a cache manifest describes. Undefined when the descriptor has no
 * diffID.
 */
function layerOf(descriptor: Descriptor): RemoteLayer | undefined {
  const diffId = descriptor.annotations?.[DIFF_ID];
  if (diffId === undefined || !isDigest(diffId)) return undefined;
  const { mediaType, digest, size } = descriptor;
  return {
    descriptor: { mediaType, digest, size },
    diffId,
    created: recordedTime(descriptor.annotations?.[CREATED_AT]),
    ...(descriptor.annotations?.[LAYER_OS] === WINDOWS && { windows: true }),
  };
}

/** The descriptor of a layer, with annotations for the fields that a descriptor does not have. */
export function layerDescriptor({ descriptor, diffId, created, windows }: RemoteLayer): Descriptor {
  const { mediaType, digest, size } = descriptor;
  const at = created > 0 ? { [CREATED_AT]: new Date(created).toISOString() } : {};
  const os = windows ? { [LAYER_OS]: WINDOWS } : {};
  return { mediaType, digest, size, annotations: { ...at, ...os, [DIFF_ID]: diffId } };
}

/** The layers of a config, each with its depth checked. Stacks are made when they are asked for. */
class LayerTable {
  readonly #layers: readonly (RemoteLayer | undefined)[];
  readonly #parents: readonly number[];

  constructor(layers: readonly (RemoteLayer | undefined)[], parents: readonly number[]) {
    this.#layers = layers;
    this.#parents = parents;
  }

  has(index: number): boolean {
    return index >= 0 && index < this.#layers.length;
  }

  /**
   * The stack that ends in layer `index`, bottom first. Undefined when one of its layers is not
   * described.
   */
  chain(index: number): RemoteLayer[] | undefined {
    const indexes: number[] = [];
    for (let at = index; at !== -1; at = this.#parents[at]!) indexes.push(at);
    return this.stack(indexes.reverse());
  }

  stack(indexes: readonly number[]): RemoteLayer[] | undefined {
    const layers = indexes.map((index) => this.#layers[index]);
    return layers.every((layer) => layer !== undefined) ? layers : undefined;
  }
}

function layerTable(
  config: Json,
  blobs: ReadonlyMap<Digest, Descriptor>,
  check: Checks,
): LayerTable {
  const wires = check
    .list(config['layers'], 'layers')
    .map((layer) => check.object(layer, 'a layer'));
  const parents = wires.map(({ parent = 0 }) => {
    if (
      typeof parent === 'number' &&
      Number.isInteger(parent) &&
      parent >= -1 &&
      parent < wires.length
    )
      return parent;
    throw check.fail(`${JSON.stringify(parent)} is not one of its layers`);
  });
  checkDepth(parents, check);
  return new LayerTable(
    wires.map((wire) => describedLayer(wire, blobs, check)),
    parents,
  );
}

function describedLayer(
  wire: Json,
  blobs: ReadonlyMap<Digest, Descriptor>,
  check: Checks,
): RemoteLayer | undefined {
  const digest = check.digest(wire['blob']);
  const descriptor = blobs.get(digest);
  if (descriptor) return layerOf(descriptor);
  const own = wire['annotations'];
  if (typeof own !== 'object' || own === null) return undefined;
  const { mediaType, size, diffID } = own as Json;
  if (
    typeof mediaType !== 'string' ||
    typeof size !== 'number' ||
    !Number.isSafeInteger(size) ||
    size < 0
  )
    return undefined;
  if (typeof diffID !== 'string' || !isDigest(diffID)) return undefined;
  return {
    descriptor: { mediaType, digest, size },
    diffId: diffID,
    created: recordedTime((own as Json)['createdAt']),
    ...((own as Json)['os'] === WINDOWS && { windows: true }),
  };
}

/** Checks that every chain of parents ends, and that none is too long. */
function checkDepth(parents: readonly number[], check: Checks): void {
  const depths = new Map<number, number>([[-1, 0]]);
  parents.forEach((_, index) => {
    const path: number[] = [];
    for (let at = index; !depths.has(at); at = parents[at]!) {
      path.push(at);
      if (path.length > MAX_DEPTH)
        throw check.fail(`its layers form a circle, or are more than ${MAX_DEPTH} deep`);
    }
    for (const at of path.reverse()) depths.set(at, depths.get(parents[at]!)! + 1);
    if (depths.get(index)! > MAX_DEPTH)
      throw check.fail(`its layers are more than ${MAX_DEPTH} deep`);
  });
}

interface ParsedRecord {
  readonly digest: Digest;
  /** The records that input 0 may come from. */
  readonly from: readonly number[];
  readonly links: readonly number[];
  readonly inputs: number;
  /** The newest result whose layers are all described. Made when it is asked for. */
  readonly result: (() => readonly RemoteLayer[] | undefined) | undefined;
  readonly created: number;
  readonly on: readonly number[] | undefined;
}

function readRecord(value: unknown, layers: LayerTable, check: Checks): ParsedRecord {
  const record = check.object(value, 'a record');
  const digest = check.digest(record['digest']);
  const inputs = check
    .list(record['inputs'], 'inputs')
    .map((alternatives) =>
      check
        .list(alternatives, 'an input')
        .map((input) =>
          check.index(check.object(input, 'an input')['link'], Number.MAX_SAFE_INTEGER),
        ),
    );
  const results = [
    ...check.list(record['layers'], 'layers of a record').map((value) => {
      const result = check.object(value, 'a result');
      const index = check.index(result['layer'], Number.MAX_SAFE_INTEGER);
      if (!layers.has(index)) throw check.fail(`${index} is not one of its layers`);
      return { stack: () => layers.chain(index), created: recordedTime(result['createdAt']) };
    }),
    ...check.list(record['chains'], 'chains').map((value) => {
      const result = check.object(value, 'a result');
      const indexes = check
        .list(result['layers'], 'a chain')
        .map((index) => check.index(index, Number.MAX_SAFE_INTEGER));
      if (indexes.length > MAX_DEPTH || !indexes.every((index) => layers.has(index)))
        throw check.fail('a chain has no layers');
      return { stack: () => layers.stack(indexes), created: recordedTime(result['createdAt']) };
    }),
  ].sort((a, b) => b.created - a.created);
  const on =
    record['on'] === undefined
      ? undefined
      : check.list(record['on'], 'on').filter((index) => typeof index === 'number');
  return {
    digest,
    from: inputs[0] ?? [],
    links: inputs.flat(),
    inputs: inputs.length,
    result: results.length === 0 ? undefined : () => firstOf(results),
    created: results[0]?.created ?? 0,
    on,
  };
}

function firstOf(
  results: readonly { readonly stack: () => RemoteLayer[] | undefined }[],
): RemoteLayer[] | undefined {
  for (const { stack } of results) {
    const layers = stack();
    if (layers && layers.length > 0) return layers;
  }
  return undefined;
}

/**
 * Checks that every link leads to a record, and that links form no circle. It is not recursive,
 * because a hostile config may be deep.
 */
function checkLinks(records: readonly ParsedRecord[], check: Checks): void {
  const waiting = records.map(() => 0);
  const readers: number[][] = records.map(() => []);
  records.forEach(({ links }, index) => {
    for (const link of links) {
      if (!readers[link]) throw check.fail(`${link} is not one of its records`);
      readers[link].push(index);
      waiting[index]!++;
    }
  });
  const ready = records.flatMap((_, index) => (waiting[index] === 0 ? [index] : []));
  let done = 0;
  for (let index = ready.pop(); index !== undefined; index = ready.pop()) {
    done++;
    for (const reader of readers[index]!) if (--waiting[reader]! === 0) ready.push(reader);
  }
  if (done < records.length) throw check.fail('its records form a circle');
}

/**
 * Records without inputs are keys with results. A record whose only input is such a key is an alias
 * of it, or another output.
 */
function recordsOf(wires: readonly ParsedRecord[], platforms: readonly string[]): RemoteRecord[] {
  const readers = new Map<number, ParsedRecord[]>();
  for (const wire of wires) {
    for (const from of wire.inputs === 1 ? wire.from : []) {
      const list = readers.get(from);
      if (list) list.push(wire);
      else readers.set(from, [wire]);
    }
  }
  return wires.flatMap((wire, index) => {
    if (wire.inputs > 0) return [];
    const own = readers.get(index) ?? [];
    const aliases = own.filter(({ result }) => !result).map(({ digest }) => digest);
    if (!wire.result && own.length === 0) return [];
    return [
      remoteRecord(
        wire,
        aliases,
        own.filter(({ result }) => result),
        platforms,
      ),
    ];
  });
}

function remoteRecord(
  wire: ParsedRecord,
  aliases: readonly Digest[],
  more: readonly ParsedRecord[],
  platforms: readonly string[],
): RemoteRecord {
  let outputs: RemoteRecord['outputs'] | undefined;
  return {
    key: wire.digest,
    aliases,
    created: Math.max(wire.created, ...more.map(({ created }) => created)),
    platforms: wire.on?.flatMap((index) => platforms[index] ?? []) ?? platforms,
    get outputs() {
      outputs ??= outputsOf(wire, more);
      return outputs;
    },
  };
}

function outputsOf(wire: ParsedRecord, more: readonly ParsedRecord[]): RemoteRecord['outputs'] {
  const outputs = [wire.result?.()];
  if (more.length > 0) {
    const named = new Map(more.toReversed().map((record) => [record.digest, record]));
    for (let index = 1; index < MAX_OUTPUTS; index++)
      outputs.push(named.get(outputName(wire.digest, index))?.result?.());
  }
  return outputs.slice(0, outputs.findLastIndex((layers) => layers !== undefined) + 1);
}

/** Milliseconds since 1970, or 0 for what is no time. */
export function recordedTime(value: unknown): number {
  const time = typeof value === 'string' ? Date.parse(value) : 0;
  return Number.isFinite(time) && time > 0 ? time : 0;
}

/** Checks values of unknown type. An error says where the wrong value is. */
class Checks {
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  fail(why: string): KilnError {
    return malformed(this.#where, why);
  }

  object(value: unknown, what: string): Json {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
    throw this.fail(`${what} is not an object`);
  }

  /** Absent lists and null are empty lists, as Go writes them. */
  list(value: unknown, what: string): readonly unknown[] {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return value;
    throw this.fail(`${what} is not a list`);
  }

  digest(value: unknown): Digest {
    if (typeof value === 'string' && isDigest(value)) return value;
    throw this.fail(`${JSON.stringify(value)?.slice(0, 100)} is not a sha256 digest`);
  }

  index(value: unknown, limit: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < limit)
      return value;
    throw this.fail(`${JSON.stringify(value)?.slice(0, 100)} is not an index`);
  }
}

function malformed(where: string, why: string): KilnError {
  return new KilnError('KILN_CACHE_MALFORMED', `the cache config of ${where} is not valid: ${why}`);
}
