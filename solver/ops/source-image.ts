import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { parseReference, tryParseReference } from '../../base/reference.ts';
import type { ImageSources, SourceImage } from '../../registry/pull.ts';
import { chainIdOf, type LayerProgress, unpackImage } from '../../registry/unpack.ts';
import type { SourceOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import { type StepSession, sessionOf } from '../step-session.ts';
import type { World } from '../world.ts';

/** The services that image sources use. */
export type SourceImageWorld = Pick<World, 'images' | 'snapshotter'>;

const LAYOUT = 'oci-layout://';

/** True for `docker-image://` and `oci-layout://`. */
export function isImageSource(identifier: string): boolean {
  return /^(docker-image|oci-layout):\/\//.test(identifier);
}

/**
 * The op of an image source: `docker-image://NAME[:TAG][@DIGEST]` or
 * `oci-layout://PATH[:TAG][@DIGEST]`. Its key is made of the diffIDs of its layers alone. So equal
 * files have equal keys, whatever the image is called, however its layers are compressed and
 * wherever it comes from. Running the op downloads and unpacks the layers that the store does not
 * have.
 */
export function sourceImageOp(
  source: SourceOp,
  platform: Platform,
  world: SourceImageWorld,
): Op<BuildResult> {
  const placeOf = (context: Parameters<typeof sessionOf>[0]) => {
    const session = sessionOf(context);
    return { images: world.images(session), layout: session.layout };
  };
  return {
    resource: 'network',
    async cacheMap(signal, report) {
      const image = await resolveSource(source, platform, placeOf(report), signal);
      return {
        parts: [
          { name: 'image layers', value: chainIdOf(image.diffIds) ?? 'none' },
          ...(isForWindows(image) ? [{ name: 'form of layers', value: 'windows' }] : []),
        ],
        inputs: [],
        volatile: false,
      };
    },
    async run(_inputs, context) {
      const { signal, progress, vertex } = context;
      const place = placeOf(context);
      const image = await resolveSource(source, platform, place, signal);
      const from = { sources: place.images, snapshotter: world.snapshotter };
      const { layers } = await unpackImage(from, image, signal, statusOf(progress, vertex));
      const snapshot = isForWindows(image)
        ? { layers: layers.map((layer) => world.snapshotter.windowsFiles(layer)) }
        : { layers };
      world.snapshotter.touch(snapshot);
      return [{ kind: 'snapshot', snapshot }];
    },
  };
}

/** The layers of such an image have the files that a step sees below `Files`. */
function isForWindows({ config }: SourceImage): boolean {
  return config.os === 'windows';
}

/** Where the images of one build are found. */
export interface ImagePlaces {
  readonly images: ImageSources;
  /** The path of an OCI layout (`--build-context`) by the name in the op's `oci.store`. */
  readonly layout: StepSession['layout'];
}

/** Resolves an image source, with the errors of `ImageSources.resolve`. */
export async function resolveSource(
  source: SourceOp,
  platform: Platform,
  { images, layout }: ImagePlaces,
  signal: AbortSignal,
): Promise<SourceImage> {
  const pull = source.attrs['image.resolvemode'] === 'pull';
  const { identifier } = source;
  const text = identifier.startsWith(LAYOUT) ? await layoutText(source, layout) : identifier;
  signal.throwIfAborted();
  const image = await images.resolve(text, platform, { pull, signal });
  checkDigest(source, image);
  return withLayerLimit(source, image);
}

/** A graph may say which digest a tag has to have. */
function checkDigest({ identifier, attrs }: SourceOp, { digest }: SourceImage): void {
  const expected = attrs['image.checksum'];
  if (expected === undefined || expected === '' || expected === digest) return;
  const name = identifier.slice(identifier.indexOf('://') + 3);
  throw new KilnError(
    'KILN_DIGEST_MISMATCH',
    `image digest ${digest} for ${name} does not match expected checksum ${expected}`,
  );
}

/** A graph may take only the first layers of an image. */
function withLayerLimit({ attrs }: SourceOp, image: SourceImage): SourceImage {
  const text = attrs['image.layerlimit'];
  if (text === undefined) return image;
  const limit = Number(text);
  if (!/^\d{1,9}$/.test(text) || limit === 0)
    throw new KilnError('KILN_GRAPH_INVALID', `invalid layer limit ${text}`);
  const manifest = { ...image.manifest, layers: image.manifest.layers.slice(0, limit) };
  return { ...image, manifest, diffIds: image.diffIds.slice(0, limit) };
}

/**
 * The text to resolve for an image in a layout. An op refers to a layout by its store name. The
 * name in its identifier only says which image it replaces.
 */
async function layoutText(source: SourceOp, layout: StepSession['layout']): Promise<string> {
  const store = source.attrs['oci.store'] ?? '';
  const name = source.identifier.slice(LAYOUT.length);
  const path = await layout(store, tryParseReference(name)?.digest);
  if (path === undefined) throw noLayout(store);
  // The identifier has the form of an image reference, with a digest or a tag.
  const { tag, digest } = parseReference(name);
  return `${LAYOUT}${path}` + `${digest ? `@${digest}` : tag === undefined ? '' : `:${tag}`}`;
}

/** A graph of a stranger must not read directories of this host by their paths. */
function noLayout(name: string): KilnError {
  return new KilnError(
    'KILN_GRAPH_INVALID',
    `the build has no OCI layout with the name ${JSON.stringify(name)}`,
  );
}

/** The shortest time between two progress events of a layer, in milliseconds. */
const INTERVAL = 100;

/** Makes a function that reports the progress of layers as status events, named as in buildx. */
export function statusOf(progress: ProgressSink, vertex: Digest): (layer: LayerProgress) => void {
  const started = new Map<string, number>();
  const reported = new Map<string, number>();
  return ({ phase, layer, current, total }) => {
    const id = phase === 'download' ? layer.digest : `extracting ${layer.digest}`;
    const timestamp = Date.now();
    const over = current === total && (phase === 'download' || current > 0 || reported.has(id));
    if (!over && timestamp - (reported.get(id) ?? 0) < INTERVAL) return;
    reported.set(id, timestamp);
    const since = started.get(id) ?? timestamp;
    started.set(id, since);
    progress({
      kind: 'status',
      vertex,
      id,
      name: id,
      current,
      total,
      timestamp,
      started: since,
      ...(over ? { completed: timestamp } : {}),
    });
  };
}

/** What a reference means on one platform, as the frontend's `ImageResolver` needs it. */
export interface ResolvedReference {
  readonly name: string;
  readonly digest: Digest;
  readonly config: ImageConfig;
  readonly local: boolean;
}

/**
 * Makes an image resolver on `sources` for one build. Its requests end when `signal` aborts. In
 * `oci-layout://NAME…`, NAME is one of `layouts`, and means the layout at that path.
 */
export function imageResolver(
  sources: ImageSources,
  signal: AbortSignal,
  layouts: ReadonlyMap<string, string> = new Map(),
): (
  ref: string,
  platform: Platform,
  options: { readonly pull: boolean },
) => Promise<ResolvedReference> {
  const located = (ref: string) => {
    if (!ref.startsWith(LAYOUT)) return ref;
    const rest = ref.slice(LAYOUT.length);
    // A name may contain a tag (`base:1`), so the longest name that fits is used.
    const names = [...layouts.keys()].filter(
      (name) => rest.startsWith(name) && /^([:@]|$)/.test(rest.slice(name.length)),
    );
    const name = names.toSorted((a, b) => b.length - a.length)[0];
    if (name === undefined) throw noLayout(rest);
    return `${LAYOUT}${layouts.get(name)}${rest.slice(name.length)}`;
  };
  return async (ref, platform, { pull }) => {
    const { name, digest, config, local } = await sources.resolve(located(ref), platform, {
      pull,
      signal,
    });
    return { name, digest, config, local };
  };
}
