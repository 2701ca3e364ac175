import type { Digest } from '../../base/digest.ts';
import type { ImageConfig } from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { parseReference } from '../../base/reference.ts';
import type { ImageSources, SourceImage } from '../../registry/pull.ts';
import {
  chainIdOf,
  type LayerProgress,
  type UnpackWorld,
  unpackImage,
} from '../../registry/unpack.ts';
import type { SourceOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';

/** What image sources need of the World. */
export interface SourceImageWorld extends UnpackWorld {
  /**
   * Where the OCI layouts of `--build-context` are, by the store name in the op's `oci.store`
   * attribute.
   */
  readonly layouts?: ReadonlyMap<string, string>;
}

const LAYOUT = 'oci-layout://';

/** True for `docker-image://` and `oci-layout://`. */
export function isImageSource(identifier: string): boolean {
  return /^(docker-image|oci-layout):\/\//.test(identifier);
}

/**
 * An image as a source: `docker-image://NAME[:TAG][@DIGEST]` or `oci-layout://PATH[:TAG][@DIGEST]`.
 * Its key is the chain of its diffIDs alone, so that one file tree is one key, whatever it is
 * called, however its layers are compressed and wherever it came from. Running it downloads and
 * unpacks what the store lacks.
 */
export function sourceImageOp(
  source: SourceOp,
  platform: Platform,
  world: SourceImageWorld,
): Op<BuildResult> {
  let resolved: Promise<SourceImage> | undefined;
  const resolve = async (signal: AbortSignal): Promise<SourceImage> => {
    // One that failed was told to whoever asked first. Another build may ask anew: the first may
    // only have been cancelled.
    const known = resolved && (await resolved.catch(() => undefined));
    if (known) return known;
    resolved = resolveSource(source, platform, world, signal);
    return await resolved;
  };
  return {
    resource: 'network',
    async cacheMap(signal) {
      const image = await resolve(signal);
      return {
        parts: [{ name: 'image layers', value: chainIdOf(image.diffIds) ?? 'none' }],
        inputs: [],
        volatile: false,
      };
    },
    async run(_inputs, { signal, progress, vertex }) {
      const image = await resolve(signal);
      const snapshot = await unpackImage(world, image, signal, statusOf(progress, vertex));
      world.snapshotter.touch(snapshot);
      return [{ kind: 'snapshot', snapshot }];
    },
  };
}

/** The image that the op is about. */
export function resolveSource(
  source: SourceOp,
  platform: Platform,
  world: Pick<SourceImageWorld, 'sources' | 'layouts'>,
  signal: AbortSignal,
): Promise<SourceImage> {
  const pull = source.attrs['image.resolvemode'] === 'pull';
  return world.sources.resolve(imageText(source, world.layouts), platform, { pull, signal });
}

/**
 * What to resolve. An op names a layout by its store; the name in its identifier only says which
 * image is replaced.
 */
function imageText(source: SourceOp, layouts: ReadonlyMap<string, string> | undefined): string {
  const store = source.attrs['oci.store'];
  if (store === undefined || !source.identifier.startsWith(LAYOUT)) return source.identifier;
  // It is written as an image is, with a digest or a tag.
  const { tag, digest } = parseReference(source.identifier.slice(LAYOUT.length));
  return (
    `${LAYOUT}${layouts?.get(store) ?? store}` +
    `${digest ? `@${digest}` : tag === undefined ? '' : `:${tag}`}`
  );
}

/** At most this often, in milliseconds, a layer's progress is told. */
const INTERVAL = 100;

/** Turns layer progress into status events, named as buildx shows them. */
export function statusOf(progress: ProgressSink, vertex: Digest): (layer: LayerProgress) => void {
  const started = new Map<string, number>();
  const told = new Map<string, number>();
  return ({ phase, layer, current, total }) => {
    const id = phase === 'download' ? layer.digest : `extracting ${layer.digest}`;
    const timestamp = Date.now();
    const over = current === total && (phase === 'download' || current > 0 || told.has(id));
    if (!over && timestamp - (told.get(id) ?? 0) < INTERVAL) return;
    told.set(id, timestamp);
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

/** What a reference is, for one platform: the answer that the frontend's ImageResolver wants. */
export interface ResolvedReference {
  readonly name: string;
  readonly digest: Digest;
  readonly config: ImageConfig;
  readonly local: boolean;
}

/**
 * An image resolver over `sources`, for one build: its questions end when `signal` aborts.
 * `oci-layout://NAME…` with a NAME of `layouts` is the layout at that path, any other is a path
 * itself.
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
    // The name may have a tag of its own (`base:1`): the longest that fits is meant.
    const names = [...layouts.keys()].filter(
      (name) => rest.startsWith(name) && /^([:@]|$)/.test(rest.slice(name.length)),
    );
    const name = names.toSorted((a, b) => b.length - a.length)[0];
    return name === undefined ? ref : `${LAYOUT}${layouts.get(name)}${rest.slice(name.length)}`;
  };
  return async (ref, platform, { pull }) => {
    const { name, digest, config, local } = await sources.resolve(located(ref), platform, {
      pull,
      signal,
    });
    return { name, digest, config, local };
  };
}
