import type { Descriptor } from '../../base/oci.ts';
import { normalisePlatform } from '../../base/platform.ts';
import type { Engine } from '../../builder/engine.ts';
import { descriptorDocument, platformDocument } from '../../exporter/image-documents.ts';
import { readImage } from '../../images/read.ts';
import { sizesOfLayers, totalSizes } from '../../images/sizes.ts';
import { parseDocument } from '../../registry/parse-document.ts';

/** A manifest of an image, as Docker's API shows it (1.47 and later). Sizes are in bytes. */
export interface ManifestSummary {
  readonly ID: string;
  readonly Descriptor: object;
  /** True when all of it is in the store. */
  readonly Available: boolean;
  readonly Size: { readonly Content: number; readonly Total: number };
  readonly Kind: 'image' | 'attestation' | 'unknown';
  readonly ImageData?: {
    readonly Platform: object;
    readonly Containers: readonly string[];
    readonly Size: { readonly Unpacked: number };
  };
  readonly AttestationData?: { readonly For: string };
}

type Sources = Pick<Engine, 'content' | 'snapshotter' | 'forms'>;

/** The manifests of an image in the order of its index, those included that are elsewhere. */
export async function manifestSummaries(
  engine: Sources,
  target: Descriptor,
): Promise<readonly ManifestSummary[]> {
  const { content } = engine;
  if (content.size(target.digest) === undefined) return [];
  const document = parseDocument(content.read(target.digest), target.mediaType, target.digest);
  const manifests = document.kind === 'index' ? document.index.manifests : [target];
  return await Promise.all(manifests.map((manifest) => summaryOf(engine, manifest)));
}

async function summaryOf(engine: Sources, descriptor: Descriptor): Promise<ManifestSummary> {
  const own = engine.content.size(descriptor.digest);
  const nothing = { Content: own ?? 0, Total: own ?? 0 };
  const common = {
    ID: descriptor.digest,
    Descriptor: descriptorDocument(descriptor),
    Available: own !== undefined,
  };
  const about = descriptor.annotations?.['vnd.docker.reference.digest'];
  if (descriptor.annotations?.['vnd.docker.reference.type'] === 'attestation-manifest')
    return {
      ...common,
      Size: nothing,
      Kind: 'attestation',
      AttestationData: { For: about ?? '' },
    };
  const image = own === undefined ? undefined : documents(engine, descriptor);
  if (!image) {
    const { platform } = descriptor;
    const isImage = platform !== undefined && platform.os !== 'unknown';
    return {
      ...common,
      Available: false,
      Size: nothing,
      Kind: isImage ? 'image' : 'unknown',
      ...(isImage && {
        ImageData: {
          Platform: platformDocument(platform),
          Containers: [],
          Size: { Unpacked: 0 },
        },
      }),
    };
  }
  const { manifest, config } = image;
  const sizes = totalSizes(await sizesOfLayers(engine, image));
  const content = (own ?? 0) + manifest.config.size + (sizes.compressed ?? 0);
  const unpacked = sizes.unpacked ?? 0;
  return {
    ...common,
    Size: { Content: content, Total: content + unpacked },
    Kind: 'image',
    ImageData: {
      Platform: platformDocument(descriptor.platform ?? normalisePlatform(config)),
      Containers: [],
      Size: { Unpacked: unpacked },
    },
  };
}

/** Undefined when the documents of an image are not all there. */
function documents({ content }: Sources, descriptor: Descriptor) {
  try {
    return readImage(content, descriptor);
  } catch {
    return undefined;
  }
}
