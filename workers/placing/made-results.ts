import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, digestOf, hexOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import type { UnpackWorld } from '../../registry/unpack.ts';
import { descriptorIn } from '../../remote/layout-index.ts';
import type { LayerId, Snapshot } from '../../snapshotter/snapshotter.ts';

/** Manifests and configs are at most so large, in bytes. */
const MAX_DOCUMENT = 4 << 20;

/** A layer as a worker names it. */
export interface MadeLayer {
  readonly diffId: Digest;
  readonly blob: Descriptor;
}

/**
 * The layers of the image that a worker has written into the layout at `root`, and that its
 * exporter tells in `response`. Nothing of it is believed: documents have the bytes of their
 * digests, and layers are compared with theirs, and with their diffIDs, when they are unpacked.
 * Throws KILN_SERVER_FAILED.
 */
export function madeLayers(
  response: Readonly<Record<string, string>>,
  root: string,
): readonly MadeLayer[] {
  const target = descriptorIn(response['containerimage.descriptor']);
  if (!target) throw wrong('names no result');
  const manifest = document(root, target.digest);
  const layers = listIn(manifest, 'layers').map(descriptor);
  const config = document(root, descriptor(manifest['config']).digest);
  const rootfs = config['rootfs'];
  const diffIds = listIn(isObject(rootfs) ? rootfs : {}, 'diff_ids').map((text) => {
    if (typeof text !== 'string' || !isDigest(text)) throw wrong('names a layer without a diffID');
    return text;
  });
  if (diffIds.length !== layers.length) throw wrong('has not one diffID for each layer');
  return layers.map((blob, at) => ({ blob, diffId: diffIds[at]! }));
}

/**
 * Makes a snapshot of the layers that a worker has written into the layout at `root`. `here` are
 * layers that this host has, and gets those that are made. A layer without compression was made by
 * a step, and becomes one that a step has made here; others come from images, and keep their form.
 */
export async function takeLayers(
  layers: readonly MadeLayer[],
  root: string,
  { sources, snapshotter }: UnpackWorld,
  here: Map<Digest, LayerId>,
  signal: AbortSignal,
): Promise<Snapshot> {
  const stack: LayerId[] = [];
  for (const { blob, diffId } of layers) {
    let id = here.get(diffId) ?? snapshotter.find(diffId);
    if (!id) {
      await sources.fetch({ origin: { kind: 'layout', path: root } }, blob, { signal });
      const layer = { diffId, blob: blob.digest, mediaType: blob.mediaType };
      const below = { layers: [...stack] };
      id =
        blob.digest === diffId
          ? await snapshotter.unpackMade(layer, below, signal)
          : await snapshotter.unpack(layer, below, signal);
      here.set(diffId, id);
    }
    stack.push(id);
  }
  const snapshot = { layers: stack };
  snapshotter.touch(snapshot);
  return snapshot;
}

function document(root: string, digest: Digest): Readonly<Record<string, unknown>> {
  const path = join(root, 'blobs/sha256', hexOf(digest));
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if (size === undefined || size > MAX_DOCUMENT) throw wrong(`has no document ${digest}`);
  const bytes = readFileSync(path);
  if (digestOf(bytes) !== digest) throw wrong(`has other bytes for ${digest}`);
  try {
    const value: unknown = JSON.parse(bytes.toString());
    if (isObject(value)) return value;
  } catch {
    // Told below.
  }
  throw wrong(`has a document ${digest} that is not JSON`);
}

function listIn(of: Readonly<Record<string, unknown>>, name: string): readonly unknown[] {
  const value = of[name] ?? [];
  if (Array.isArray(value)) return value;
  throw wrong(`has no list of ${name}`);
}

function descriptor(value: unknown): Descriptor {
  const { mediaType, digest, size } = isObject(value) ? value : {};
  if (
    typeof mediaType === 'string' &&
    typeof digest === 'string' &&
    isDigest(digest) &&
    Number.isSafeInteger(size)
  )
    return { mediaType, digest, size: Number(size) };
  throw wrong('has a descriptor without media type, digest or size');
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(what: string): KilnError {
  return new KilnError('KILN_SERVER_FAILED', `the answer of the worker ${what}`);
}
