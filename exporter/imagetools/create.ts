import { type Digest, digestOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { samePlatform } from '../../base/platformmatch.ts';
import { isObject, text as isText, jsonOf, mapOf, shown } from '../../registry/json-fields.ts';
import { MAX_CONFIG, parseConfig, platformOf } from '../../registry/parse-document.ts';
import { type Annotation, annotationsFor } from '../annotations.ts';
import { indexJson } from '../image-documents.ts';
import type { PushDocument, PushImage } from '../push-image.ts';
import { referrersOf, wholeImage } from './copied-referrers.ts';
import type { ImageLocation } from './image-location.ts';

/**
 * One of the images that the new image is made from: its location, and the fields of its entry that
 * were given with it.
 */
export interface CreateSource {
  readonly location: ImageLocation;
  readonly given?: Partial<Descriptor>;
}

export interface CreateOptions {
  readonly annotations: readonly Annotation[];
  /** Include only these platforms, with their attestations. When undefined, include all. */
  readonly platforms: readonly Platform[] | undefined;
  /** Write an index even when there is only one manifest. */
  readonly preferIndex: boolean;
}

/** The new image, and the source of each part that its document names. */
export interface CreatedImage {
  readonly document: PushDocument;
  readonly parts: readonly { readonly from: ImageLocation; readonly descriptor: Descriptor }[];
}

const REFERENCE_DIGEST = 'vnd.docker.reference.digest';

/**
 * Parses a source as buildx does: a name, a digest, or a descriptor as JSON. Digests and
 * descriptors are looked up in the one repository or layout that the other sources or the targets
 * are in. `locate` parses a name. Throws KILN_REFERENCE_INVALID.
 */
export function parseSources(
  texts: readonly string[],
  targets: readonly ImageLocation[],
  locate: (text: string) => ImageLocation,
): CreateSource[] {
  const parsed = texts.map((text) => parseSource(text.trim(), locate));
  const named = parsed.flatMap(({ location }) => (location ? [location] : []));
  const homes = new Map([...named, ...targets].map((location) => [location.home, location]));
  return parsed.map(({ location, given }, index) => {
    if (location) return { location };
    const [only] = homes.size === 1 ? [...homes.values()] : [];
    if (!only || !given) {
      throw new KilnError(
        'KILN_REFERENCE_INVALID',
        `the repository of ${texts[index]?.trim()} is not known`,
        {
          hint: 'write it with its repository: NAME@sha256:…',
          exitCode: 2,
        },
      );
    }
    return { location: only.at(given.digest), given };
  });
}

function parseSource(
  text: string,
  locate: (text: string) => ImageLocation,
): {
  location?: ImageLocation;
  given?: Partial<Descriptor> & Pick<Descriptor, 'digest'>;
} {
  if (isDigest(text)) return { given: { digest: text } };
  if (!text.startsWith('{')) return { location: locate(text) };
  const invalid = (why: string) =>
    new KilnError('KILN_REFERENCE_INVALID', `a source is not a descriptor: ${why}`, {
      exitCode: 2,
    });
  const json = jsonOf(Buffer.from(text))?.value;
  if (!isObject(json)) throw invalid('it is not a JSON object');
  const { digest, platform, annotations } = json;
  if (typeof digest !== 'string' || !isDigest(digest))
    throw invalid(`digest is ${shown(digest)}, not a sha256 digest`);
  if (annotations !== undefined && annotations !== null)
    mapOf(isText)(annotations, 'annotations', invalid);
  return {
    given: {
      digest,
      ...(typeof platform === 'object' && platform !== null
        ? { platform: platformOf(platform, 'platform', invalid) }
        : {}),
      ...(typeof annotations === 'object' && annotations !== null
        ? { annotations: annotations as Readonly<Record<string, string>> }
        : {}),
    },
  };
}

/**
 * Makes one image from `sources`: an index of all their manifests, each once. A single index
 * without changes is kept as it is.
 */
export async function combine(
  sources: readonly CreateSource[],
  options: CreateOptions,
): Promise<CreatedImage> {
  const read = await Promise.all(sources.map(readSource));
  const [only] = read;
  const unchanged = read.length === 1 && options.annotations.length === 0 && !options.platforms;
  if (only && unchanged && (only.kind === 'index' || !options.preferIndex))
    return { document: only.document, parts: [{ from: only.from, descriptor: only.self }] };
  const parts = wanted(
    distinct(
      read.flatMap(({ from, entries }) => entries.map((descriptor) => ({ from, descriptor }))),
    ),
    options.platforms,
  );
  const manifests = parts.map(({ descriptor }) => annotated(descriptor, options.annotations));
  const own = annotationsFor(options.annotations, 'index');
  const isOci =
    Object.keys(own).length > 0 ||
    manifests.some(({ mediaType }) => mediaType === MEDIA.ociManifest);
  const mediaType = isOci ? MEDIA.ociIndex : MEDIA.dockerIndex;
  const text = indexJson({
    schemaVersion: 2,
    mediaType,
    manifests,
    ...(Object.keys(own).length > 0 ? { annotations: own } : {}),
  });
  const bytes = Buffer.from(text);
  return { document: { mediaType, digest: digestOf(bytes), bytes }, parts };
}

interface ReadSource {
  readonly kind: 'index' | 'manifest';
  readonly from: ImageLocation;
  readonly document: PushDocument;
  readonly self: Descriptor;
  /** The entries that it adds to an index. */
  readonly entries: readonly Descriptor[];
}

async function readSource({ location, given }: CreateSource): Promise<ReadSource> {
  const { mediaType, digest, bytes, document } = await location.root();
  const self: Descriptor = {
    mediaType,
    digest,
    size: bytes.length,
    ...(given?.annotations ? { annotations: given.annotations } : {}),
  };
  const common = { from: location, document: { mediaType, digest, bytes }, self };
  if (document.kind === 'index')
    return { ...common, kind: 'index', entries: document.index.manifests };
  const platform = given?.platform ?? (await platformIn(location, document.manifest.config));
  return { ...common, kind: 'manifest', entries: [{ ...self, ...(platform ? { platform } : {}) }] };
}

/** A manifest alone does not state its platform. Its config does. */
async function platformIn(
  location: ImageLocation,
  config: Descriptor,
): Promise<Platform | undefined> {
  if (config.mediaType !== MEDIA.ociConfig && config.mediaType !== MEDIA.dockerConfig)
    return undefined;
  const bytes = await location.blob(config, MAX_CONFIG);
  const {
    os,
    architecture,
    variant,
    'os.version': osVersion,
  } = parseConfig(bytes, `config of ${location.name}`);
  return { os, architecture, ...(variant ? { variant } : {}), ...(osVersion ? { osVersion } : {}) };
}

type Part = CreatedImage['parts'][number];

/** Removes duplicates: equal entries, and entries for the same platform with the same digest. */
function distinct(parts: readonly Part[]): Part[] {
  const keyOf = ({ descriptor: { digest, platform } }: Part) =>
    `${digest} ${platform ? formatPlatform(platform) : ''}`;
  return [...new Map(parts.map((part) => [keyOf(part), part])).values()];
}

/** The entries for the wanted platforms, and their attestations. */
function wanted(
  parts: readonly Part[],
  platforms: readonly Platform[] | undefined,
): readonly Part[] {
  if (!platforms) return parts;
  const chosen = parts.filter(
    ({ descriptor: { platform } }) =>
      platform && platforms.some((one) => samePlatform(one, platform)),
  );
  for (const one of platforms) {
    if (
      !chosen.some(
        ({ descriptor }) => descriptor.platform && samePlatform(one, descriptor.platform),
      )
    ) {
      const there = parts.flatMap(({ descriptor: { platform } }) =>
        platform && platform.os !== 'unknown' ? [formatPlatform(platform)] : [],
      );
      throw new KilnError(
        'KILN_PLATFORM_NOT_FOUND',
        `none of the sources has an image for ${formatPlatform(one)}`,
        {
          hint: `they have ${there.join(', ')}`,
        },
      );
    }
  }
  const digests = new Set(chosen.map(({ descriptor }) => descriptor.digest));
  const about = (descriptor: Descriptor) =>
    [...digests].some((digest) => descriptor.annotations?.[REFERENCE_DIGEST] === digest);
  return parts.filter((part) => chosen.includes(part) || about(part.descriptor));
}

function annotated(descriptor: Descriptor, annotations: readonly Annotation[]): Descriptor {
  const own = annotationsFor(annotations, 'manifest-descriptor', descriptor.platform);
  return Object.keys(own).length === 0
    ? descriptor
    : { ...descriptor, annotations: { ...descriptor.annotations, ...own } };
}

/** What a new image needs in its place, in addition to what is there. */
export interface NewParts {
  readonly image: PushImage;
  /** The documents in `image` that refer to another one, and are part of no index. */
  readonly referrers: readonly PushDocument[];
}

/**
 * All content that the place of `to` needs in addition to the new document. Blobs are mounted
 * within one registry and streamed between two. Content that is already in the place is not
 * read. Attestations and signatures that name a part as their subject come along. Bytes are read
 * from the sources until `scope` ends.
 */
export async function partsFor(
  created: CreatedImage,
  to: ImageLocation,
  scope: AsyncDisposableStack,
): Promise<NewParts> {
  const foreign = created.parts.filter(({ from }) => from.home !== to.home);
  const read = await Promise.all(
    foreign.map(async ({ from, descriptor }) => ({
      from,
      tree: await wholeImage(from.at(descriptor.digest), scope),
    })),
  );
  const trees = read.map(({ tree }) => tree);
  const seen = new Set(trees.flatMap(documentsOf));
  const referring: PushImage[] = [];
  for (const { from, tree } of read)
    referring.push(...(await referrersOf(from, documentsOf(tree), seen, scope)));
  trees.push(...referring);
  const documents = trees
    .flatMap(({ root, children }) => [...children, root])
    .filter(({ digest }) => digest !== created.document.digest);
  const children = new Map(documents.map((document) => [document.digest, document]));
  const blobs = new Map(
    trees.flatMap((tree) => tree.blobs).map((blob) => [blob.descriptor.digest, blob]),
  );
  const image = {
    root: created.document,
    children: [...children.values()],
    blobs: [...blobs.values()],
  };
  return { image, referrers: referring.map(({ root }) => root) };
}

function documentsOf({ root, children }: PushImage): Digest[] {
  return [...children, root].map(({ digest }) => digest);
}
