import { resolve } from 'node:path';
import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { formatReference } from '../../base/reference.ts';
import type { Engine } from '../../builder/engine.ts';
import { withSoundBlobs } from '../../exporter/again.ts';
import { type CopySource, readTree } from '../../exporter/copy/copy-source.ts';
import { layoutSource } from '../../exporter/copy/layout-source.ts';
import { registrySource } from '../../exporter/copy/registry-source.ts';
import { storeSource } from '../../exporter/copy/store-source.ts';
import { copyToLayout, type LayoutDestination } from '../../exporter/copy/to-layout.ts';
import { copyToStore } from '../../exporter/copy/to-store.ts';
import { tryDirectory } from '../../exporter/destination.ts';
import { loadArchive } from '../../exporter/load-archive.ts';
import { type Destination, isStandardOutput } from '../../exporter/output-spec.ts';
import { pushImage } from '../../exporter/push-image.ts';
import { findImage, fullName } from '../../images/find-image.ts';
import { withCompressedLayers } from '../../images/push-stored.ts';
import type { TransferReport } from '../../images/transfer-report.ts';
import { RegistryClient } from '../../registry/client.ts';
import { archiveDestination } from '../binary-output.ts';
import { registryOptions } from '../registry-options.ts';
import type { ImagePlace } from './image-place.ts';

/** The services that a copy uses. */
export interface CopyWorld {
  /** Opens the engine at the first call, because many copies need no store. */
  readonly engine: () => Engine;
  readonly signal: AbortSignal;
  readonly report: TransferReport;
}

/**
 * Copies an image with all its platforms, byte for byte. Returns its digest. A file or directory
 * that cannot be written is an error before anything is read.
 */
export async function copyImage(
  source: ImagePlace,
  destination: ImagePlace,
  world: CopyWorld,
): Promise<Digest> {
  if (isStandardStream(source)) throw notFromInput();
  const [from, to] = [absolute(source), destinationAt(absolute(destination), world.signal)];
  await using client = new RegistryClient(await registryOptions(process.env));
  const copy = () => copyOnce(from, to, client, world);
  // Bytes that were written to a stream cannot be taken back.
  const isStream = 'destination' in to && to.destination.kind === 'stream';
  return await (isStream ? copy() : withSoundBlobs(copy));
}

type Archive = Extract<LayoutDestination, { readonly destination: Destination }>;
type CopyDestination = Exclude<ImagePlace, { readonly kind: Archive['kind'] }> | Archive;

function absolute(place: ImagePlace): ImagePlace {
  return 'path' in place && !isStandardStream(place)
    ? { ...place, path: resolve(place.path) }
    : place;
}

/** True for an archive whose path is `-` or another name of standard output. */
function isStandardStream(place: ImagePlace): boolean {
  return (
    (place.kind === 'oci-archive' || place.kind === 'docker-archive') &&
    isStandardOutput(place.path)
  );
}

function notFromInput(): KilnError {
  return new KilnError(
    'KILN_REFERENCE_INVALID',
    'the source of a copy cannot be standard input: an archive is not read in order',
    {
      place: { kind: 'flag', flag: 'SOURCE' },
      hint: 'write it to a file first, or load it into the store with kiln load',
      exitCode: 2,
    },
  );
}

/** Checks that the copy can be written. Throws KILN_OUTPUT_INVALID and KILN_OUTPUT_UNWRITABLE. */
function destinationAt(place: ImagePlace, signal: AbortSignal): CopyDestination {
  if (place.kind === 'oci') tryDirectory({ path: place.path, flag: 'DESTINATION' });
  if (place.kind !== 'oci-archive' && place.kind !== 'docker-archive') return place;
  const destination = archiveDestination(place.path, 'DESTINATION', signal);
  return place.kind === 'oci-archive'
    ? { kind: place.kind, destination, tag: place.tag }
    : { kind: place.kind, destination, name: place.name };
}

async function copyOnce(
  from: ImagePlace,
  to: CopyDestination,
  client: RegistryClient,
  world: CopyWorld,
): Promise<Digest> {
  await using source = await openSource(from, to, client, world);
  const image = await readTree(source);
  const { signal, report } = world;
  switch (to.kind) {
    case 'registry': {
      const isDigest = to.reference.digest !== undefined;
      if (isDigest && to.reference.digest !== image.root.digest)
        throw new KilnError(
          'KILN_DIGEST_MISMATCH',
          `${source.name} is ${image.root.digest}, not ${to.reference.digest}`,
        );
      await pushImage(client, image, [to.reference], { signal, report, byDigest: isDigest });
      break;
    }
    case 'store':
      await copyToStore(world.engine(), image, fullName(to.name), { signal, report });
      break;
    default:
      await copyToLayout(image, to, { signal, report });
  }
  return image.root.digest;
}

async function openSource(
  from: ImagePlace,
  to: CopyDestination,
  client: RegistryClient,
  world: CopyWorld,
): Promise<CopySource> {
  switch (from.kind) {
    case 'registry':
      return registrySource(client, from.reference, world.signal);
    case 'store': {
      const { target } = findImage(world.engine().images, from.name);
      // The layers of an image that was built here are uncompressed tars. A registry should get
      // compressed layers.
      const sent =
        to.kind === 'registry' ? await withCompressedLayers(world.engine(), target, world) : target;
      return storeSource(world.engine(), sent, from.name, world.signal);
    }
    case 'docker-archive':
      return dockerArchive(from.path, from.name, world);
    default:
      return layoutSource(from.path, from.tag, world.signal);
  }
}

/**
 * Opens an archive that `docker save` wrote. It is also an OCI layout, unless an old version of
 * Docker wrote it. An old archive has no manifests, so it is loaded into the store, which makes
 * them.
 */
async function dockerArchive(
  path: string,
  name: string | undefined,
  world: CopyWorld,
): Promise<CopySource> {
  try {
    return layoutSource(path, name, world.signal);
  } catch (error) {
    if (!(error instanceof KilnError && error.code === 'KILN_LAYOUT_INVALID')) throw error;
  }
  const engine = world.engine();
  const kept = engine.images.list();
  const loaded = await loadArchive(engine, path, { signal: world.signal });
  // Loading sets the names of the archive in the store. This undoes it, as only the content is
  // needed.
  for (const { names } of loaded)
    for (const full of names) {
      const before = kept.find((image) => image.name === full);
      if (before) engine.images.put(before);
      else engine.images.remove(full);
    }
  const chosen =
    name === undefined && loaded.length === 1
      ? loaded[0]
      : loaded.find(({ names }) => name !== undefined && names.includes(name));
  if (!chosen) {
    throw new KilnError(
      'KILN_IMAGE_NOT_FOUND',
      name === undefined
        ? `${path} contains several images`
        : `${path} does not contain the image ${name}`,
      {
        place: { kind: 'path', path },
        hint: `give one of ${loaded.flatMap(({ names }) => names).join(', ')}`,
      },
    );
  }
  return storeSource(engine, chosen.target, path, world.signal);
}

/** Returns the text for a place in progress and messages, in the form that `parsePlace` parses. */
export function describePlace(place: ImagePlace): string {
  switch (place.kind) {
    case 'registry':
      return formatReference(place.reference);
    case 'store':
      return `store:${place.name}`;
    case 'docker-archive':
      return `${place.kind}:${place.path}${place.name === undefined ? '' : `:${place.name}`}`;
    default:
      return `${place.kind}:${place.path}${place.tag === undefined ? '' : `:${place.tag}`}`;
  }
}
