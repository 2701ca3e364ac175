import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { Descriptor } from '../base/oci.ts';
import { formatReference, type Reference, repositoryOf } from '../base/reference.ts';
import type { RegistryClient, Repository } from '../registry/client.ts';
import type { BlobLocations } from '../registry/locations.ts';
import { parseDocument } from '../registry/parse-document.ts';
import type { UploadOutcome } from '../registry/upload.ts';
import type { ContentStore } from '../snapshotter/content.ts';

/** A blob that the registry must have before the manifests that name it. */
export interface PushBlob {
  readonly descriptor: Descriptor;
  /**
   * Its bytes from `start` up to, but not including, `end`. Called only when the registry lacks the
   * blob, and again when a transfer breaks.
   */
  readonly open: (start?: number, end?: number) => AsyncIterable<Uint8Array>;
  /**
   * Repositories (of any registry) that may have the blob. It is mounted from one in the same
   * registry.
   */
  readonly knownIn?: readonly Repository[];
}

/** A manifest or index by its exact bytes. */
export interface PushDocument {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/**
 * All parts of an image: the document that its name means, the manifests of an index, and all their
 * blobs, each once.
 */
export interface PushImage {
  readonly root: PushDocument;
  readonly children: readonly PushDocument[];
  readonly blobs: readonly PushBlob[];
}

/**
 * The progress of a blob or manifest. `current` equals `total` when the registry has it; `outcome`
 * says how it got there.
 */
export interface PushStatus {
  readonly id: string;
  readonly name: string;
  readonly current: number;
  readonly total: number;
  readonly outcome?: UploadOutcome;
}

export interface PushOptions {
  readonly signal: AbortSignal;
  readonly report?: (status: PushStatus) => void;
  /** The number of uploads at once. The default is 4. */
  readonly parallel?: number;
  /** Send blobs in pieces of this many bytes. */
  readonly chunkSize?: number | undefined;
  /** The repositories in which blobs were seen. Those of this push are added. */
  readonly locations?: BlobLocations | undefined;
  /** Blobs that are already on their way to one of the repositories. */
  readonly ahead?:
    | {
        readonly repository: Repository;
        outcome(digest: Digest): Promise<UploadOutcome> | undefined;
      }
    | undefined;
  /** Push under the digest only, with no tag. */
  readonly byDigest?: boolean;
}

/** The number of uploads at once. */
export const PARALLEL_UPLOADS = 4;

/**
 * Pushes `image` under each of `references`. Blobs are sent in parallel, except those that the
 * registry has. Manifests follow when all blobs are there, and the tag comes last, so that a tag
 * never names an incomplete image. Returns the digest of the root.
 */
export async function pushImage(
  client: RegistryClient,
  image: PushImage,
  references: readonly Reference[],
  options: PushOptions,
): Promise<Digest> {
  const pushed = new Map<string, Repository>();
  for (const reference of references) {
    const repository = repositoryOf(reference);
    if (!pushed.has(repository))
      await pushContent(client, knownAlsoIn(image, [...pushed.values()]), reference, options);
    pushed.set(repository, { domain: reference.domain, path: reference.path });
    const tag = options.byDigest || reference.tag === undefined ? image.root.digest : reference.tag;
    const pinned = formatReference({ ...reference, digest: image.root.digest });
    const name = `pushing manifest for ${pinned}`;
    const size = image.root.bytes.byteLength;
    options.report?.({ id: `${repository}:${tag}`, name, current: 0, total: size });
    await client.putManifest(
      reference,
      tag,
      image.root.mediaType,
      image.root.bytes,
      options.signal,
    );
    options.report?.({ id: `${repository}:${tag}`, name, current: size, total: size });
  }
  return image.root.digest;
}

/** Blobs that were sent to one repository of a registry are mounted into the next. */
function knownAlsoIn(image: PushImage, repositories: readonly Repository[]): PushImage {
  if (repositories.length === 0) return image;
  return {
    ...image,
    blobs: image.blobs.map((blob) => ({
      ...blob,
      knownIn: [...repositories, ...(blob.knownIn ?? [])],
    })),
  };
}

async function pushContent(
  client: RegistryClient,
  image: PushImage,
  repository: Repository,
  options: PushOptions,
): Promise<void> {
  const { Queue } = await import('../base/queue.ts');
  const queue = new Queue({ concurrency: options.parallel ?? PARALLEL_UPLOADS });
  // The first failure ends the other uploads: their signal aborts, and they are waited for.
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const work = image.blobs.map((blob) =>
    queue
      .add(() => pushBlob(client, blob, repository, { ...options, signal }))
      .catch((error: unknown) => {
        failed.abort(error);
        throw error;
      }),
  );
  const outcomes = await Promise.allSettled(work);
  options.locations?.save();
  if (failed.signal.aborted) throw failed.signal.reason;
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  for (const child of image.children)
    await client.putManifest(
      repository,
      child.digest,
      child.mediaType,
      child.bytes,
      options.signal,
    );
}

async function pushBlob(
  client: RegistryClient,
  blob: PushBlob,
  repository: Repository,
  options: PushOptions,
): Promise<void> {
  const { digest, size } = blob.descriptor;
  const { ahead, report } = options;
  const isAhead = ahead && repositoryOf(ahead.repository) === repositoryOf(repository);
  const outcome = await ((isAhead && ahead.outcome(digest)) ||
    sendBlob(client, blob, repository, options));
  report?.({ id: digest, name: digest, current: size, total: size, outcome });
}

/** Puts one blob into the repository, and remembers that it is there. */
export async function sendBlob(
  client: RegistryClient,
  blob: PushBlob,
  repository: Repository,
  options: Pick<PushOptions, 'signal' | 'report' | 'chunkSize' | 'locations'>,
): Promise<UploadOutcome> {
  const { digest, size } = blob.descriptor;
  const outcome = await client.pushBlob(
    repository,
    { digest, size, open: blob.open },
    {
      signal: options.signal,
      mountFrom: mountable(blob, repository, options.locations),
      chunkSize: options.chunkSize,
      onProgress: (current) => options.report?.({ id: digest, name: digest, current, total: size }),
    },
  );
  options.locations?.add({ domain: repository.domain, path: repository.path }, digest);
  return outcome;
}

/** The other repositories of the same registry that may have the blob. */
export function mountable(
  { descriptor, knownIn }: Pick<PushBlob, 'descriptor' | 'knownIn'>,
  repository: Repository,
  locations: BlobLocations | undefined,
): readonly string[] {
  const seenIn = [
    ...(knownIn ?? []),
    ...(locations?.find(repository.domain, descriptor.digest) ?? []),
  ];
  const others = seenIn.filter(
    ({ domain, path }) => domain === repository.domain && path !== repository.path,
  );
  return [...new Set(others.map(({ path }) => path))];
}

/**
 * The parts of an image whose documents are in the content store. For a blob that is not there
 * `missing` is called: its layer was built here and never packed, or never downloaded. A manifest
 * of an index that is not in the store is an error, because the image would be incomplete.
 */
export function storedImage(
  content: ContentStore,
  target: Descriptor,
  missing: (blob: Descriptor) => PushBlob = failMissing,
  knownIn: readonly Repository[] = [],
): PushImage {
  const blobs = new Map<Digest, PushBlob>();
  const children: PushDocument[] = [];
  const visit = (descriptor: Descriptor, isRoot: boolean): PushDocument => {
    const bytes = content.read(descriptor.digest);
    const parsed = parseDocument(bytes, descriptor.mediaType, `manifest ${descriptor.digest}`);
    const document = { mediaType: descriptor.mediaType, digest: descriptor.digest, bytes };
    const parts =
      parsed.kind === 'index'
        ? parsed.index.manifests
        : [parsed.manifest.config, ...parsed.manifest.layers];
    for (const part of parts) {
      if (parsed.kind === 'index') visit(part, false);
      else if (!blobs.has(part.digest))
        blobs.set(part.digest, storedBlob(content, part, missing, knownIn));
    }
    // Children come first, also for an index inside an index.
    if (!isRoot && !children.some((child) => child.digest === descriptor.digest))
      children.push(document);
    return document;
  };
  const root = visit(target, true);
  return { root, children, blobs: [...blobs.values()] };
}

function storedBlob(
  content: ContentStore,
  descriptor: Descriptor,
  missing: (blob: Descriptor) => PushBlob,
  knownIn: readonly Repository[],
): PushBlob {
  if (content.size(descriptor.digest) === undefined) return missing(descriptor);
  return { descriptor, knownIn, open: (start, end) => content.open(descriptor.digest, start, end) };
}

/** For blobs that should be in the store. */
export function failMissing(blob: Pick<Descriptor, 'digest'>): never {
  throw new KilnError('KILN_BLOB_MISSING', `blob ${blob.digest} of the image is not in the store`, {
    hint: 'pull or build the image again',
  });
}
