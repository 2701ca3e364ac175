import type { Platform } from '../../base/platform.ts';
import { formatReference, nameOf, parseReference } from '../../registry/names.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { imageSources } from '../../registry/pull.ts';
import type { StoredImage } from '../../snapshotter/images.ts';
import { compressionOf } from '../../snapshotter/store/forms.ts';
import { registryOptions } from '../registry-options.ts';
import type { Session } from '../session.ts';
import type { TransferReport } from '../transfers.ts';

interface PullOptions {
  readonly platform: Platform | undefined;
  readonly signal: AbortSignal;
  readonly report: TransferReport;
}

/** Brings an image and its layers for one platform into the store, under its name. Layers are verified as they come. */
export async function pullImage(session: Session, text: string, { platform, signal, report }: PullOptions): Promise<StoredImage> {
  await using sources = imageSources({
    content: session.content,
    images: session.images,
    registry: registryOptions(process.env),
  });
  const image = await sources.resolve(text, platform ?? hostPlatform(), { pull: true, signal });
  await Promise.all(
    image.manifest.layers.map((layer) =>
      sources.fetch(image, layer, {
        signal,
        onProgress: (current) => report({ id: layer.digest, name: layer.digest, current, total: layer.size }),
      }),
    ),
  );
  for (const [index, layer] of image.manifest.layers.entries()) {
    const diffId = image.diffIds[index];
    const compression = compressionOf(layer.mediaType);
    if (diffId && compression)
      session.forms.record({
        diffId,
        digest: layer.digest,
        size: layer.size,
        mediaType: layer.mediaType,
        compression,
        variant: 'pulled',
      });
  }
  const bytes = session.content.read(image.digest);
  const mediaType: unknown = JSON.parse(bytes.toString()).mediaType;
  const reference = parseReference(text);
  const stored: StoredImage = {
    name: reference.digest ? formatReference(reference) : nameOf(reference),
    target: {
      mediaType: typeof mediaType === 'string' ? mediaType : image.manifest.mediaType,
      digest: image.digest,
      size: bytes.byteLength,
    },
    configs: [image.manifest.config.digest],
    created: Date.now(),
  };
  session.images.put(stored);
  return stored;
}
