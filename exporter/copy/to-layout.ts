import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor, Manifest } from '../../base/oci.ts';
import { bestManifest } from '../../base/platformmatch.ts';
import { parseReference } from '../../base/reference.ts';
import { parseDocument } from '../../registry/parse-document.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { type ArchiveEntry, writeArchive } from '../archive.ts';
import { writeTo } from '../destination.ts';
import { compactJson } from '../image-documents.ts';
import { blobBytes, blobName, dockerElement, layoutFrame } from '../layout.ts';
import { writeLayoutDirectory } from '../layout-directory.ts';
import type { Destination } from '../output-spec.ts';
import { failMissing, type PushBlob, type PushImage } from '../push-image.ts';

/** Where a copy is written, and its name there. */
export type LayoutDestination =
  | { readonly kind: 'oci'; readonly path: string; readonly tag: string | undefined }
  | {
      readonly kind: 'oci-archive';
      readonly destination: Destination;
      readonly tag: string | undefined;
    }
  /** An archive with a `manifest.json` for `docker load`. `name` is a full image name. */
  | {
      readonly kind: 'docker-archive';
      readonly destination: Destination;
      readonly name: string | undefined;
    };

export interface CopyReport {
  readonly signal: AbortSignal;
  readonly report: (status: { id: string; name: string; current: number; total: number }) => void;
  /** Documents of the image that a layout directory lists beside it, such as signatures. */
  readonly beside?: readonly Descriptor[];
}

const REF_NAME = 'org.opencontainers.image.ref.name';
const FULL_NAME = 'io.containerd.image.name';

/**
 * Writes `image` as an OCI layout. Existing images of a layout directory are kept. A file appears
 * only when it is complete and verified.
 */
export async function copyToLayout(
  image: PushImage,
  destination: LayoutDestination,
  { signal, report, beside = [] }: CopyReport,
): Promise<void> {
  const { root } = image;
  const index = [
    {
      mediaType: root.mediaType,
      digest: root.digest,
      size: root.bytes.byteLength,
      ...annotationsOf(destination),
    },
    ...beside,
  ];
  const documents = [root, ...image.children].map(({ digest, bytes }) => blobBytes(digest, bytes));
  const entries: ArchiveEntry[] = [
    ...documents,
    ...image.blobs.map((blob) => blobStream(blob, report)),
  ];
  if (destination.kind === 'oci')
    return writeLayoutDirectory(
      destination.path,
      [...layoutFrame(index), ...entries],
      index,
      NO_BLOBS,
      signal,
    );
  const docker =
    destination.kind === 'docker-archive' ? dockerEntry(image, destination.name) : undefined;
  const all = [...layoutFrame(index), ...entries, ...(docker ? [docker] : [])];
  const write = () =>
    writeTo(destination.destination, signal, (sink) => writeArchive(all, NO_BLOBS, sink));
  await (destination.destination.kind === 'file' ? afterWrongBytes(write) : write());
}

/** After a few blobs with wrong bytes a mirror is no longer asked. More attempts do not help. */
const ATTEMPTS = 4;

/**
 * Runs `write` again when a blob arrived with wrong bytes: the source is then asked again, at
 * another mirror if there is one.
 */
async function afterWrongBytes(write: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write();
    } catch (error) {
      const isWrong = error instanceof KilnError && error.code === 'KILN_DIGEST_MISMATCH';
      if (!isWrong || attempt === ATTEMPTS) throw error;
    }
  }
}

/** All bytes come from the source of the copy, which verifies them. */
const NO_BLOBS = {
  open: (digest: Digest): never => failMissing({ digest }),
  copy: async (digest: Digest) => failMissing({ digest }),
};

function annotationsOf(destination: LayoutDestination): Pick<Descriptor, 'annotations'> {
  if (destination.kind !== 'docker-archive')
    return destination.tag === undefined ? {} : { annotations: { [REF_NAME]: destination.tag } };
  const { name } = destination;
  const tag = name === undefined ? undefined : /:([^:/@]+)$/.exec(name)?.[1];
  return name === undefined
    ? {}
    : { annotations: { [FULL_NAME]: name, ...(tag === undefined ? {} : { [REF_NAME]: tag }) } };
}

function blobStream({ descriptor, open }: PushBlob, report: CopyReport['report']): ArchiveEntry {
  const { digest, size } = descriptor;
  const stream = async function* () {
    let current = 0;
    for await (const chunk of open()) {
      yield chunk;
      current += chunk.length;
      report({ id: digest, name: digest, current, total: size });
    }
  };
  return { name: blobName(digest), kind: 'stream', mode: 0o444, size, open: stream };
}

/** The entry for `docker load`: of an index, the manifest for this machine, if it has one. */
function dockerEntry(
  { root, children }: PushImage,
  name: string | undefined,
): ArchiveEntry | undefined {
  const documents = new Map<Digest, PushImage['root']>(
    [root, ...children].map((document) => [document.digest, document]),
  );
  const manifestOf = (digest: Digest): Manifest | undefined => {
    const document = documents.get(digest);
    if (!document) return undefined;
    const parsed = parseDocument(document.bytes, document.mediaType, `manifest ${digest}`);
    if (parsed.kind === 'manifest') return parsed.manifest;
    const best = bestManifest(parsed.index, hostPlatform());
    return best && manifestOf(best.digest);
  };
  const manifest = manifestOf(root.digest);
  if (!manifest) return undefined;
  const names = name === undefined ? [] : [parseReference(name)];
  const element = dockerElement(manifest.config, manifest.layers, names);
  return {
    name: 'manifest.json',
    kind: 'bytes',
    mode: 0o644,
    bytes: Buffer.from(compactJson([element])),
  };
}
