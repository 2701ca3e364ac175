import { contentMismatch } from '../base/content-mismatch.ts';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type Descriptor, type ImageConfig, type Manifest, MEDIA } from '../base/oci.ts';
import { formatPlatformInFull, type Platform } from '../base/platform.ts';
import { bestManifest, offeredPlatforms } from '../base/platformmatch.ts';
import { formatReference, nameOf, parseReference, type Reference } from '../base/reference.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import type { ImageStore } from '../snapshotter/images.ts';
import { digestOfFile } from '../snapshotter/store/file-digest.ts';
import { Answers } from './answers.ts';
import type { RegistryClient, RegistryOptions, Repository } from './client.ts';
import type { BlobSink } from './download.ts';
import type { HostsConfig } from './hosts.ts';
import { openLayout, parseLayoutReference } from './layout.ts';
import {
  MAX_CONFIG,
  MAX_MANIFEST,
  mediaTypeOf,
  parseConfig,
  parseDocument,
} from './parse-document.ts';
import type { LookUps, TagMemory } from './tags.ts';
import { Transfers } from './transfers.ts';

/**
 * A resolved image. Its documents are in the content store; its layers are downloaded when they are
 * fetched.
 */
export interface SourceImage {
  /** The full name with tag, if any, and without digest. For a layout it is the path. */
  readonly name: string;
  /** The index or manifest that the name stands for. */
  readonly target: Descriptor;
  /** The digest of `target`. */
  readonly digest: Digest;
  /** The digest of the manifest for the requested platform. */
  readonly manifestDigest: Digest;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  /** The diffIDs of the layers, bottom first, as many as `manifest.layers`. */
  readonly diffIds: readonly Digest[];
  /** The place from which missing layers are fetched. */
  readonly origin: ImageOrigin;
  /** True when the image was found in the local image store or in a layout. */
  readonly local: boolean;
  /**
   * True for an image of the local store, however it was looked up. A part of it that is missing
   * was lost.
   */
  readonly isStored?: boolean;
}

export type ImageOrigin =
  | { readonly kind: 'registry'; readonly repository: Repository }
  | { readonly kind: 'layout'; readonly path: string }
  /** The content exists only in the local store, because it was built here. */
  | { readonly kind: 'store' };

export interface ResolveOptions {
  /** Ask the registry even if the local store has the name. */
  readonly pull: boolean;
  readonly signal: AbortSignal;
}

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** Gets the number of bytes of this blob received so far. */
  readonly onProgress?: (received: number) => void;
}

/**
 * Finds images and fetches their layers. Resolving reads manifest and config only. A layer is
 * transferred when it is fetched: at most four layers at a time, and each once for all callers.
 */
export interface ImageSources extends AsyncDisposable {
  /**
   * `text` is a reference as in FROM, or `oci-layout://path[:tag][@digest]`. The local image store
   * is asked first unless `pull` is set, then the registry. A tag keeps its first answer for the
   * lifetime of these sources. Throws KILN_IMAGE_NOT_FOUND, KILN_PLATFORM_NOT_FOUND and the errors
   * of registry/client.ts.
   */
  resolve(text: string, platform: Platform, options: ResolveOptions): Promise<SourceImage>;
  /**
   * What `resolve` would have answered to a tag in the last build, without any request. Undefined
   * when it asks no registry about this name, or the store does not have all documents.
   */
  recall(text: string, platform: Platform): Promise<SourceImage | undefined>;
  /** Fetches one blob of `image` into the content store. */
  fetch(image: Pick<SourceImage, 'origin'>, blob: Descriptor, options: FetchOptions): Promise<void>;
  /**
   * Writes one blob of the repository `name` to what `open` opens, verified. Throws
   * KILN_BLOB_NOT_FOUND and the errors of registry/client.ts.
   */
  copyBlob(
    name: string,
    digest: Digest,
    open: () => BlobSink,
    options: Pick<FetchOptions, 'signal'> & { readonly onBytes: OnBlobBytes },
  ): Promise<void>;
}

/** Called with the bytes received so far, and all. */
export type OnBlobBytes = (current: number, total: number) => void;

export interface ImageSourcesOptions {
  readonly content: ContentStore;
  readonly images: ImageStore;
  readonly registry: RegistryOptions;
  /** The number of transfers at once. The default is 4. */
  readonly parallel?: number;
  /** What tags meant before, for the case that a registry cannot be asked or need not be. */
  readonly tags?: TagMemory;
  /** The default is `ask`. */
  readonly lookUps?: LookUps;
  /** Called when an answer of `tags` is used. */
  readonly warn?: (text: string) => void;
}

const CONFIG_TYPES: readonly string[] = [MEDIA.ociConfig, MEDIA.dockerConfig];
const LAYOUT = 'oci-layout://';
const MAX_NESTING = 3;

/** The sources over one store. The registry client is made when it is first needed. */
export function imageSources(options: ImageSourcesOptions): ImageSources {
  let client: Promise<RegistryClient> | undefined;
  const registry = async () => {
    if (options.lookUps === 'never') throw neverAsked();
    return await (client ??= import('./client.ts').then(
      ({ RegistryClient }) => new RegistryClient(options.registry),
    ));
  };
  const remote: RemoteWorld = { ...options, registry, hosts: options.registry.hosts };
  const transfers = new Transfers(options.parallel ?? 4);
  const answers = new Answers<SourceImage>();
  const targets = new Answers<Descriptor>();
  const resolve = async (text: string, platform: Platform, { pull, signal }: ResolveOptions) => {
    if (text.startsWith(LAYOUT)) return resolveLayout(options.content, text, platform);
    // Looked up once for all platforms.
    const target = (reference: Reference, pulled: boolean) =>
      targets.get(formatReference(reference), pulled, () =>
        remoteTarget(remote, reference, pulled, signal),
      );
    return resolveName({ ...options, registry, target }, parseImage(text), platform, pull, signal);
  };
  return {
    async resolve(text, platform, settings) {
      const name = text.startsWith(LAYOUT) ? text : formatReference(parseImage(text));
      const key = JSON.stringify([name, formatPlatformInFull(platform)]);
      return answers.get(key, settings.pull, () => resolve(text, platform, settings));
    },
    recall: (text, platform) => recalled(remote, text, platform),
    async fetch(image, blob, { signal, onProgress }) {
      if (isWhole(options.content, blob)) return;
      await transfers.run(blob.digest, signal, onProgress, (shared, report) =>
        bring(options.content, registry, image.origin, blob, shared, report),
      );
    },
    async copyBlob(name, digest, open, { signal, onBytes }) {
      const { domain, path } = parseReference(name);
      await (await registry()).copyBlob({ domain, path }, digest, open, signal, onBytes);
    },
    async [Symbol.asyncDispose]() {
      await (await client)?.[Symbol.asyncDispose]();
    },
  };
}

async function recalled(
  world: RemoteWorld,
  text: string,
  platform: Platform,
): Promise<SourceImage | undefined> {
  if (text.startsWith(LAYOUT)) return undefined;
  const reference = parseImage(text);
  const name = nameOf(reference);
  if (reference.digest || world.images.get(name)) return undefined;
  const target = rememberedTag(world, name);
  if (!target || isRecent(world, reference)) return undefined;
  const registry = () => Promise.reject(neverAsked());
  const documents = remoteDocuments({ ...world, registry }, reference, NO_SIGNAL);
  const { origin } = documents;
  try {
    return await describe(target, platform, documents, { name, origin, local: false, where: name });
  } catch {
    // Whatever is wrong is told when the image is resolved.
    return undefined;
  }
}

const NO_SIGNAL = new AbortController().signal;

/** Parses a reference as in FROM or in a source op. */
function parseImage(text: string): Reference {
  return parseReference(text.replace(/^docker-image:\/\//, ''));
}

/** A blob that was cut short counts as missing. */
function isWhole(content: ContentStore, descriptor: Descriptor): boolean {
  const there = content.size(descriptor.digest);
  if (there === undefined || there === descriptor.size) return there !== undefined;
  // Either our copy is damaged, or the descriptor is wrong and the blob is a good one of another
  // image. The bytes decide.
  const came = digestOfFile(content.path(descriptor.digest));
  const damaged = contentMismatch({ digest: descriptor.digest }, { digest: came });
  if (damaged === undefined) {
    throw new KilnError(
      'KILN_DIGEST_MISMATCH',
      `blob ${descriptor.digest} has ${there} bytes, not ${descriptor.size} as its image says`,
    );
  }
  content.remove(descriptor.digest);
  return false;
}

async function bring(
  content: ContentStore,
  registry: () => Promise<RegistryClient>,
  origin: ImageOrigin,
  blob: Descriptor,
  signal: AbortSignal,
  report: (received: number) => void,
): Promise<void> {
  if (isWhole(content, blob)) return;
  // Throws, because the blob is missing or incomplete.
  if (origin.kind === 'store') return void content.path(blob.digest);
  if (origin.kind === 'registry')
    return (await registry()).fetchBlob(origin.repository, blob, content, signal, report);
  using layout = openLayout(origin.path);
  using writer = content.writer();
  await layout.copy(blob, writer, signal, report);
}

interface World extends Pick<ImageSourcesOptions, 'tags' | 'warn'> {
  readonly content: ContentStore;
  readonly images: ImageStore;
  readonly registry: () => Promise<RegistryClient>;
}

interface RemoteWorld extends World, Pick<ImageSourcesOptions, 'lookUps'> {
  /** How the registry of an image is configured. */
  readonly hosts: HostsConfig | undefined;
}

interface AskingWorld extends World {
  /** Looks up in the registry what a name means. */
  readonly target: (reference: Reference, pull: boolean) => Promise<Descriptor>;
}

async function resolveName(
  world: AskingWorld,
  reference: Reference,
  platform: Platform,
  pull: boolean,
  signal: AbortSignal,
): Promise<SourceImage> {
  const stored = pull || reference.digest ? undefined : world.images.get(nameOf(reference));
  const name = nameOf(reference);
  const documents = remoteDocuments(world, reference, signal);
  const { origin } = documents;
  if (!stored) {
    const target = await world.target(reference, pull);
    const image = await describe(target, platform, documents, {
      name,
      origin,
      local: false,
      where: formatReference(reference),
    });
    // True when the image was looked up by digest, as the steps of a build do, and is in the local
    // store under its name or its digest.
    const isStored =
      !pull &&
      (world.images.get(name)?.target.digest === target.digest ||
        !!world.images.get(target.digest));
    return { ...image, isStored };
  }
  const naming = { name, origin, local: true, where: `the local image ${name}` };
  return { ...(await describeStored(stored.target, platform, documents, naming)), isStored: true };
}

/**
 * A name of the local store always means the local image, whatever the registry has under that
 * name. Missing parts are requested from the registry by digest: another platform of an index that
 * was pulled for one platform, or a document that was lost. A platform that the image does not have
 * is an error.
 */
async function describeStored(
  target: Descriptor,
  platform: Platform,
  documents: Documents,
  naming: Naming,
): Promise<SourceImage> {
  const attempt = () => describe(target, platform, documents, naming);
  try {
    // A document that is damaged on our disk is removed when it is read, and is fetched the next
    // time.
    return await attempt().catch((error: unknown) =>
      hasCode(error, 'KILN_BLOB_CORRUPT') ? attempt() : Promise.reject(error),
    );
  } catch (error) {
    if (!(error instanceof KilnError) || error.code === 'KILN_CANCELLED') throw error;
    const here = `${naming.where} is ${target.digest}; the name is not looked up elsewhere`;
    const hint = [error.hint, `--pull uses the image that the registry has under that name`]
      .filter(Boolean)
      .join('; ');
    throw error.with({ hint, notes: [...error.notes, here], cause: error });
  }
}

function hasCode(error: unknown, code: KilnError['code']): boolean {
  return error instanceof KilnError && error.code === code;
}

/** Reads the documents of one image by descriptor. Each is verified. */
interface Documents {
  readonly origin: ImageOrigin;
  manifest(descriptor: Descriptor): Promise<Buffer>;
  config(descriptor: Descriptor): Promise<Buffer>;
}

/**
 * Documents from the registry. They are kept in the content store, so that each is requested once.
 */
function remoteDocuments(
  { content, registry }: World,
  reference: Reference,
  signal: AbortSignal,
): Documents {
  const repository: Repository = { domain: reference.domain, path: reference.path };
  return {
    origin: { kind: 'registry', repository },
    async manifest(descriptor) {
      if (content.size(descriptor.digest) !== undefined) return content.read(descriptor.digest);
      const fetched = await (await registry()).manifest(repository, descriptor.digest, signal);
      content.put(fetched.bytes);
      return fetched.bytes;
    },
    async config(descriptor) {
      if (content.size(descriptor.digest) !== undefined) return content.read(descriptor.digest);
      const bytes = await (await registry()).readBlob(repository, descriptor, MAX_CONFIG, signal);
      content.put(bytes);
      return bytes;
    },
  };
}

/**
 * Asks the registry what a name means. Documents that are already in the store are not downloaded.
 */
async function remoteTarget(
  world: RemoteWorld,
  reference: Reference,
  pull: boolean,
  signal: AbortSignal,
): Promise<Descriptor> {
  if (reference.digest) return pinnedTarget(world, reference, reference.digest, signal);
  const { content, registry, tags } = world;
  const wanted = reference.tag ?? 'latest';
  const name = nameOf(reference);
  const known = pull ? undefined : rememberedTag(world, name);
  if (known && isRecent(world, reference)) return known;
  const client = await registry().catch((error: unknown) => {
    throw error instanceof KilnError
      ? error.with({ message: `${name} is not in the store, and ${error.message}` })
      : error;
  });
  let head: Descriptor | undefined;
  try {
    head = await client.head(reference, wanted, signal, known ? 1 : undefined);
  } catch (error) {
    if (!known || !(error instanceof KilnError && UNDECIDED.has(error.code))) throw error;
    world.warn?.(`${error.message}; ${name} is used as it was last time, ${known.digest}`);
    return known;
  }
  if (!head || content.size(head.digest) === undefined)
    head = await fetchDocument(world, reference, head?.digest ?? wanted, signal);
  // The answer states the digest. The size is known from the store.
  else head = { ...head, size: content.size(head.digest) ?? head.size };
  tags?.put(name, head);
  return head;
}

/**
 * A digest needs no lookup. The document is in the store or is fetched, and is verified in both
 * cases.
 */
async function pinnedTarget(
  world: World,
  reference: Reference,
  digest: Digest,
  signal: AbortSignal,
): Promise<Descriptor> {
  const { content } = world;
  if (content.size(digest) === undefined) return fetchDocument(world, reference, digest, signal);
  const bytes = content.read(digest);
  return {
    mediaType: mediaTypeOf(bytes, `manifest ${digest} of ${formatReference(reference)}`),
    digest,
    size: bytes.length,
  };
}

async function fetchDocument(
  { content, registry }: World,
  reference: Reference,
  wanted: string,
  signal: AbortSignal,
): Promise<Descriptor> {
  const { bytes, mediaType, digest } = await (await registry()).manifest(reference, wanted, signal);
  content.put(bytes);
  return { mediaType, digest, size: bytes.length };
}

/** Failures that say nothing about whether the image exists. */
const UNDECIDED: ReadonlySet<string> = new Set([
  'KILN_REGISTRY_UNREACHABLE',
  'KILN_REGISTRY_TIMEOUT',
  'KILN_REGISTRY_RATE_LIMITED',
  'KILN_REGISTRY_ERROR',
]);

/** Says whether what a tag meant before counts without asking. */
function isRecent({ lookUps = 'ask', hosts, tags }: RemoteWorld, reference: Reference): boolean {
  if (lookUps !== 'ask') return true;
  const maxAge = hosts?.get(reference.domain)?.maxAge ?? 0;
  return maxAge > 0 && tags !== undefined && tags.age(nameOf(reference)) <= maxAge;
}

function neverAsked(): KilnError {
  return new KilnError('KILN_IMAGE_NOT_FOUND', 'registries are not asked with --pull=never', {
    hint: 'pull it first, or build with --pull=missing',
  });
}

/** What the tag meant before, if that document is still in the store. */
function rememberedTag({ tags, content }: World, name: string): Descriptor | undefined {
  const known = tags?.get(name);
  return known && content.size(known.digest) === known.size ? known : undefined;
}

async function resolveLayout(
  content: ContentStore,
  text: string,
  platform: Platform,
): Promise<SourceImage> {
  const reference = parseLayoutReference(text);
  using layout = openLayout(reference.path);
  const read = (limit: number) => async (descriptor: Descriptor) => {
    const bytes = layout.read(descriptor, limit);
    content.put(bytes);
    return bytes;
  };
  const origin: ImageOrigin = { kind: 'layout', path: layout.path };
  const documents: Documents = { origin, manifest: read(MAX_MANIFEST), config: read(MAX_CONFIG) };
  const where = `${LAYOUT}${reference.path}`;
  return await describe(layout.find(reference), platform, documents, {
    name: where,
    origin,
    local: true,
    where,
  });
}

interface Naming {
  readonly name: string;
  readonly origin: ImageOrigin;
  readonly local: boolean;
  /** For messages. */
  readonly where: string;
}

/** Follows the descriptor of a name to the manifest and config for one platform. */
async function describe(
  target: Descriptor,
  platform: Platform,
  documents: Documents,
  naming: Naming,
): Promise<SourceImage> {
  const { descriptor, manifest } = await choose(target, platform, documents, naming, 0);
  if (!CONFIG_TYPES.includes(manifest.config.mediaType)) {
    throw new KilnError(
      'KILN_IMAGE_NOT_FOUND',
      `${naming.where} is not a container image: its config is ` +
        `${JSON.stringify(manifest.config.mediaType)}`,
    );
  }
  const config = parseConfig(await documents.config(manifest.config), `config of ${naming.where}`);
  const diffIds = config.rootfs?.diff_ids ?? [];
  if (diffIds.length !== manifest.layers.length) {
    throw new KilnError(
      'KILN_MANIFEST_INVALID',
      `${naming.where} has ${manifest.layers.length} layers and ${diffIds.length} diff ids`,
    );
  }
  const { name, origin, local } = naming;
  return {
    name,
    origin,
    local,
    target,
    digest: target.digest,
    manifestDigest: descriptor.digest,
    manifest,
    config,
    diffIds,
  };
}

async function choose(
  descriptor: Descriptor,
  platform: Platform,
  documents: Documents,
  naming: Naming,
  depth: number,
): Promise<{ descriptor: Descriptor; manifest: Manifest }> {
  const bytes = await documents.manifest(descriptor);
  if (bytes.length !== descriptor.size) {
    throw new KilnError(
      'KILN_MANIFEST_INVALID',
      `manifest ${descriptor.digest} of ${naming.where} has ${bytes.length} bytes, not ` +
        `${descriptor.size}`,
    );
  }
  const document = parseDocument(
    bytes,
    descriptor.mediaType,
    `manifest ${descriptor.digest} of ${naming.where}`,
  );
  if (document.kind === 'manifest') return { descriptor, manifest: document.manifest };
  const best = bestManifest(document.index, platform);
  if (!best) throw notFor(naming.where, platform, offeredPlatforms(document.index));
  if (depth >= MAX_NESTING)
    throw new KilnError(
      'KILN_MANIFEST_INVALID',
      `${naming.where} has indexes nested more than ${MAX_NESTING} deep`,
    );
  return choose(best, platform, documents, naming, depth + 1);
}

function notFor(where: string, platform: Platform, offered: readonly string[]): KilnError {
  return new KilnError(
    'KILN_PLATFORM_NOT_FOUND',
    `${where} has no image for ${formatPlatformInFull(platform)}`,
    {
      hint:
        offered.length === 0
          ? 'choose another image or tag'
          : `it exists for ${offered.join(', ')}`,
    },
  );
}
