import { type Digest, digestOf, isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { samePlatform } from '../../base/platformmatch.ts';
import {
  formatReference,
  parseReference,
  type Reference,
  repositoryOf,
  wantedOf,
} from '../../base/reference.ts';
import type { RegistryClient } from '../../registry/client.ts';
import { isObject, text as isText, jsonOf, mapOf, shown } from '../../registry/json-fields.ts';
import { MAX_CONFIG, parseConfig, platformOf } from '../../registry/parse-document.ts';
import { type Annotation, annotationsFor } from '../annotations.ts';
import { readTree } from '../copy/copy-source.ts';
import { registrySource } from '../copy/registry-source.ts';
import { indexJson } from '../image-documents.ts';
import type { PushDocument, PushImage } from '../push-image.ts';
import { referrersOf } from './copied-referrers.ts';

/**
 * One of the images that the new image is made from: its location, and the fields of its entry that
 * were given with it.
 */
export interface CreateSource {
  readonly reference: Reference;
  readonly given?: Partial<Descriptor>;
}

export interface CreateOptions {
  readonly annotations: readonly Annotation[];
  /** Include only these platforms, with their attestations. When undefined, include all. */
  readonly platforms: readonly Platform[] | undefined;
  /** Write an index even when there is only one manifest. */
  readonly preferIndex: boolean;
  readonly signal: AbortSignal;
}

/** The new image, and the source of each part that its document names. */
export interface CreatedImage {
  readonly document: PushDocument;
  readonly parts: readonly { readonly from: Reference; readonly descriptor: Descriptor }[];
}

const REFERENCE_DIGEST = 'vnd.docker.reference.digest';

/**
 * Parses a source as buildx does: a reference, a digest, or a descriptor as JSON. Digests and
 * descriptors are looked up in the one repository that the other sources or the tags name. Throws
 * KILN_REFERENCE_INVALID.
 */
export function parseSources(
  texts: readonly string[],
  targets: readonly Reference[],
): CreateSource[] {
  const parsed = texts.map((text) => parseSource(text.trim()));
  const named = parsed.flatMap(({ reference }) => (reference ? [reference] : []));
  const repositories = new Map(
    [...named, ...targets].map((reference) => [repositoryOf(reference), reference]),
  );
  return parsed.map(({ reference, given }, index) => {
    if (reference) return { reference };
    const [only] = repositories.size === 1 ? [...repositories.values()] : [];
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
    return { reference: { domain: only.domain, path: only.path, digest: given.digest }, given };
  });
}

function parseSource(text: string): {
  reference?: Reference;
  given?: Partial<Descriptor> & Pick<Descriptor, 'digest'>;
} {
  if (isDigest(text)) return { given: { digest: text } };
  if (!text.startsWith('{')) return { reference: parseReference(text) };
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
  client: RegistryClient,
  sources: readonly CreateSource[],
  options: CreateOptions,
): Promise<CreatedImage> {
  const read = await Promise.all(
    sources.map((source) => readSource(client, source, options.signal)),
  );
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
  readonly from: Reference;
  readonly document: PushDocument;
  readonly self: Descriptor;
  /** The entries that it adds to an index. */
  readonly entries: readonly Descriptor[];
}

async function readSource(
  client: RegistryClient,
  { reference, given }: CreateSource,
  signal: AbortSignal,
): Promise<ReadSource> {
  const found = await client.manifest(reference, wantedOf(reference), signal);
  const { mediaType, digest, bytes, document } = found;
  const self: Descriptor = {
    mediaType,
    digest,
    size: bytes.length,
    ...(given?.annotations ? { annotations: given.annotations } : {}),
  };
  const common = { from: reference, document: { mediaType, digest, bytes }, self };
  if (document.kind === 'index')
    return { ...common, kind: 'index', entries: document.index.manifests };
  const platform =
    given?.platform ?? (await platformIn(client, reference, document.manifest.config, signal));
  return { ...common, kind: 'manifest', entries: [{ ...self, ...(platform ? { platform } : {}) }] };
}

/** A manifest alone does not state its platform. Its config does. */
async function platformIn(
  client: RegistryClient,
  reference: Reference,
  config: Descriptor,
  signal: AbortSignal,
): Promise<Platform | undefined> {
  if (config.mediaType !== MEDIA.ociConfig && config.mediaType !== MEDIA.dockerConfig)
    return undefined;
  const bytes = await client.readBlob(reference, config, MAX_CONFIG, signal);
  const {
    os,
    architecture,
    variant,
    'os.version': osVersion,
  } = parseConfig(bytes, `config of ${formatReference(reference)}`);
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

/**
 * All content that the repository of `to` needs in addition to the new document. Blobs are mounted
 * within one registry and streamed between two. Content that is already in the repository is not
 * requested. Attestations and signatures that name a part as their subject come along.
 */
export async function partsFor(
  client: RegistryClient,
  created: CreatedImage,
  to: Reference,
  signal: AbortSignal,
): Promise<PushImage> {
  const foreign = created.parts.filter(({ from }) => repositoryOf(from) !== repositoryOf(to));
  const read = await Promise.all(
    foreign.map(async ({ from, descriptor }) => {
      const source = await registrySource(
        client,
        { domain: from.domain, path: from.path, digest: descriptor.digest },
        signal,
      );
      return { from, tree: await readTree(source) };
    }),
  );
  const trees = read.map(({ tree }) => tree);
  const seen = new Set(trees.flatMap(documentsOf));
  for (const { from, tree } of read)
    trees.push(...(await referrersOf(client, from, documentsOf(tree), seen, signal)));
  const documents = trees
    .flatMap(({ root, children }) => [...children, root])
    .filter(({ digest }) => digest !== created.document.digest);
  const children = new Map(documents.map((document) => [document.digest, document]));
  const blobs = new Map(
    trees.flatMap((tree) => tree.blobs).map((blob) => [blob.descriptor.digest, blob]),
  );
  return { root: created.document, children: [...children.values()], blobs: [...blobs.values()] };
}

function documentsOf({ root, children }: PushImage): Digest[] {
  return [...children, root].map(({ digest }) => digest);
}
