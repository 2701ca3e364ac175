import { KilnError } from '../../base/errors.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import { parseDocument } from '../../registry/parse-document.ts';
import type { ContentStore } from '../../snapshotter/content.ts';
import type { ImageStore } from '../../snapshotter/images.ts';
import type { PushBlob, PushImage } from '../push-image.ts';
import type { CopyReport } from './to-layout.ts';

const CONFIG_TYPES: readonly string[] = [MEDIA.ociConfig, MEDIA.dockerConfig];
/** The number of blobs copied at once. */
const PARALLEL = 4;

/**
 * Stores `image` with all its platforms under the full name `name`. Layers are unpacked when a step
 * needs them.
 */
export async function copyToStore(
  services: { readonly content: ContentStore; readonly images: ImageStore },
  image: PushImage,
  name: string,
  { signal, report }: CopyReport,
): Promise<void> {
  const { content, images } = services;
  const { Queue } = await import('../../base/queue.ts');
  const queue = new Queue({ concurrency: PARALLEL });
  const failed = new AbortController();
  const copies = image.blobs.map((blob) =>
    queue.add(async () => {
      if (failed.signal.aborted) return;
      await copyBlob(content, blob, AbortSignal.any([signal, failed.signal]), report).catch(
        (error: unknown) => {
          failed.abort(error);
          throw error;
        },
      );
    }),
  );
  await Promise.allSettled(copies);
  if (failed.signal.aborted) throw failed.signal.reason;
  for (const { bytes } of [...image.children, image.root]) content.put(bytes);
  const { mediaType, digest, bytes } = image.root;
  const target: Descriptor = { mediaType, digest, size: bytes.byteLength };
  images.put({ name, target, configs: configsOf(image), created: Date.now() });
}

async function copyBlob(
  content: ContentStore,
  { descriptor, open }: PushBlob,
  signal: AbortSignal,
  report: CopyReport['report'],
): Promise<void> {
  const { digest, size } = descriptor;
  const tell = (current: number) => report({ id: digest, name: digest, current, total: size });
  if (content.size(digest) !== size) {
    const copy = async () => {
      using writer = content.writer();
      for await (const chunk of open()) {
        signal.throwIfAborted();
        writer.write(chunk);
        tell(writer.size);
      }
      writer.commit({ digest, size });
    };
    // Wrong bytes are requested once more, from another mirror if there is one.
    await copy().catch((error: unknown) =>
      error instanceof KilnError && error.code === 'KILN_DIGEST_MISMATCH'
        ? copy()
        : Promise.reject(error),
    );
  }
  tell(size);
}

/** The configs of its platforms. Attestations have none. */
function configsOf({ root, children }: PushImage) {
  return [...children, root].flatMap(({ bytes, mediaType, digest }) => {
    const parsed = parseDocument(bytes, mediaType, `manifest ${digest}`);
    if (parsed.kind === 'index' || !CONFIG_TYPES.includes(parsed.manifest.config.mediaType))
      return [];
    const isAttestation = parsed.manifest.layers.some(
      (layer) => layer.mediaType === 'application/vnd.in-toto+json',
    );
    return isAttestation ? [] : [parsed.manifest.config.digest];
  });
}
