import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { normalisePlatform, type Platform } from '../../base/platform.ts';
import type { AttestationChain, SourceMeta, WantedMeta } from '../../builder/source-verifier.ts';
import type { SourceOp } from '../../solver/llb/ops.ts';
import type {
  ResolveSourceMetaRequest,
  ResolveSourceMetaResponseSchema,
} from '../proto/gateway.gen.ts';
import type { Platform as PlatformMessage, SourceOp as SourceMessage } from '../proto/llb.gen.ts';

/** What is known of a source, as a client is told. */
export function metaMessage(
  source: SourceOp,
  { image, git, http }: SourceMeta,
): MessageInitShape<typeof ResolveSourceMetaResponseSchema> {
  return {
    source: { identifier: source.identifier, attrs: { ...source.attrs } },
    ...(image && {
      image: {
        digest: image.digest,
        ...(image.config && { config: image.config }),
        ...(image.chain && { attestationChain: chainMessage(image.chain) }),
      },
    }),
    ...(git && {
      git: {
        checksum: git.checksum,
        ref: git.ref,
        ...(git.commitChecksum !== undefined && { commitChecksum: git.commitChecksum }),
        ...(git.commitObject && { commitObject: git.commitObject }),
        ...(git.tagObject && { tagObject: git.tagObject }),
      },
    }),
    ...(http && {
      http: {
        checksum: http.digest,
        filename: http.filename,
        ...(http.lastModified && { lastModified: timestampFromDate(http.lastModified) }),
      },
    }),
  };
}

function chainMessage({ root, imageManifest, attestationManifest, blobs }: AttestationChain) {
  return {
    root,
    imageManifest,
    ...(attestationManifest !== undefined && { attestationManifest }),
    blobs: Object.fromEntries(
      [...blobs].map(([digest, { descriptor, data }]) => {
        const { mediaType, size, annotations = {} } = descriptor;
        return [
          digest,
          {
            descriptor: { mediaType, digest, size: BigInt(size), annotations: { ...annotations } },
            data,
          },
        ];
      }),
    ),
  };
}

/** What a client wants to know of a source. */
export function wantedMeta({ resolveMode, image, git }: ResolveSourceMetaRequest): WantedMeta {
  const { noConfig = false, attestationChain = false, resolveAttestations = [] } = image ?? {};
  const isAttested = attestationChain || resolveAttestations.length > 0;
  return {
    pull: resolveMode === 'pull',
    noConfig,
    attestations: isAttested ? resolveAttestations : undefined,
    gitObjects: git?.returnObject ?? false,
  };
}

/** A source as a client names it. */
export function sourceIn({ identifier, attrs }: SourceMessage): SourceOp {
  return { identifier, attrs };
}

/** Undefined for a platform that the client leaves open. */
export function platformIn(platform: PlatformMessage | undefined): Platform | undefined {
  if (!platform || platform.os === '') return undefined;
  const { os, architecture, variant, osVersion, osFeatures } = platform;
  return normalisePlatform({
    os,
    architecture,
    ...(variant !== '' && { variant }),
    ...(osVersion !== '' && { osVersion }),
    ...(osFeatures.length > 0 && { osFeatures }),
  });
}
