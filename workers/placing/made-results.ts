import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, digestOf, hexOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { RemoteStack } from '../../cache/remote/imported.ts';
import { descriptorIn } from '../../remote/layout-index.ts';

/** Manifests and configs are at most so large, in bytes. */
const MAX_DOCUMENT = 4 << 20;

/**
 * The layers of the image that a worker has written into the layout at `root`, and that its
 * exporter tells in `response`. Nothing of it is believed: documents have the bytes of their
 * digests, and layers are compared with theirs, and with their diffIDs, when they are unpacked.
 * Throws KILN_SERVER_FAILED.
 */
export function madeStack(response: Readonly<Record<string, string>>, root: string): RemoteStack {
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
  const stack = layers.map((blob, at) => ({ descriptor: blob, diffId: diffIds[at]!, created: 0 }));
  return new RemoteStack(stack, { kind: 'layout', path: root });
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
