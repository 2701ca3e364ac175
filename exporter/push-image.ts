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
  /** Its bytes from `start` up to, not including, `end`. Only called when the registry lacks the blob; again when a transfer breaks. */
  readonly open: (start?: number, end?: number) => AsyncIterable<Uint8Array>;
  /** Repositories (of any registry) that may have the blob: mounted from there when it is the same registry. */
  readonly knownIn?: readonly Repository[];
}

/** A manifest or index by its exact bytes. */
export interface PushDocument {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/** All that makes up an image: what its name stands for, the manifests of an index, and the blobs of them all, each once. */
export interface PushImage {
  readonly root: PushDocument;
  readonly children: readonly PushDocument[];
  readonly blobs: readonly PushBlob[];
}

/** Where a blob or manifest stands. `current` equals `total` when it is there; `outcome` says how it got there. */
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
  /** Uploads at once; 4 unless told. */
  readonly parallel?: number;
  /** Send blobs in pieces of this many bytes. */
  readonly chunkSize?: number | undefined;
  /** Where blobs were seen; those of this push are added. */
  readonly locations?: BlobLocations | undefined;
  /** Push under the digest only, with no tag. */
  readonly byDigest?: boolean;
}

/**
 * Pushes `image` under each of `references`. Blobs go in parallel, those that the registry has are not sent; manifests follow when
 * all blobs are there, the tag comes last: nobody ever sees a tag whose image is incomplete. Answers the digest of the root.
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
    if (!pushed.has(repository)) await pushContent(client, knownAlsoIn(image, [...pushed.values()]), reference, options);
    pushed.set(repository, { domain: reference.domain, path: reference.path });
    const tag = options.byDigest || reference.tag === undefined ? image.root.digest : reference.tag;
    const name = `pushing manifest for ${formatReference({ ...reference, digest: image.root.digest })}`;
    const size = image.root.bytes.byteLength;
    options.report?.({ id: `${repository}:${tag}`, name, current: 0, total: size });
    await client.putManifest(reference, tag, image.root.mediaType, image.root.bytes, options.signal);
    options.report?.({ id: `${repository}:${tag}`, name, current: size, total: size });
  }
  return image.root.digest;
}

/** What went to one repository of a registry is mounted in the next. */
function knownAlsoIn(image: PushImage, repositories: readonly Repository[]): PushImage {
  if (repositories.length === 0) return image;
  return { ...image, blobs: image.blobs.map((blob) => ({ ...blob, knownIn: [...repositories, ...(blob.knownIn ?? [])] })) };
}

async function pushContent(
  client: RegistryClient,
  image: PushImage,
  repository: Repository,
  options: PushOptions,
): Promise<void> {
  const { default: Queue } = await import('p-queue');
  const queue = new Queue({ concurrency: options.parallel ?? 4 });
  // The first failure ends the others: their signal aborts, and we wait until they are over.
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
    await client.putManifest(repository, child.digest, child.mediaType, child.bytes, options.signal);
}

async function pushBlob(client: RegistryClient, blob: PushBlob, repository: Repository, options: PushOptions): Promise<void> {
  const { digest, size } = blob.descriptor;
  const status = (current: number, outcome?: UploadOutcome): PushStatus => ({
    id: digest,
    name: digest,
    current,
    total: size,
    ...(outcome ? { outcome } : {}),
  });
  const seenIn = [...(blob.knownIn ?? []), ...(options.locations?.find(repository.domain, digest) ?? [])];
  const mountFrom = seenIn.filter(({ domain, path }) => domain === repository.domain && path !== repository.path);
  const outcome = await client.pushBlob(
    repository,
    { digest, size, open: blob.open },
    {
      signal: options.signal,
      mountFrom: [...new Set(mountFrom.map(({ path }) => path))],
      chunkSize: options.chunkSize,
      onProgress: (sent) => options.report?.(status(sent)),
    },
  );
  options.locations?.add({ domain: repository.domain, path: repository.path }, digest);
  options.report?.(status(size, outcome));
}

/**
 * The parts of an image whose documents are in the content store. A blob that is not there is asked of `missing`: a layer that was
 * built here and never packed, or one that was never downloaded. Of an index, manifests that are not in the store are an error:
 * the image would be incomplete.
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
    const parts = parsed.kind === 'index' ? parsed.index.manifests : [parsed.manifest.config, ...parsed.manifest.layers];
    for (const part of parts) {
      if (parsed.kind === 'index') visit(part, false);
      else if (!blobs.has(part.digest)) blobs.set(part.digest, storedBlob(content, part, missing, knownIn));
    }
    // After what it names: manifests of an index inside an index go first.
    if (!isRoot && !children.some((child) => child.digest === descriptor.digest)) children.push(document);
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

/** For blobs that ought to be in the store. */
export function failMissing(blob: Pick<Descriptor, 'digest'>): never {
  throw new KilnError('KILN_BLOB_MISSING', `blob ${blob.digest} of the image is not in the store`, {
    hint: 'pull or build the image again',
  });
}
