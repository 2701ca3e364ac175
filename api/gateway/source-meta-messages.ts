import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { normalisePlatform, type Platform } from '../../base/platform.ts';
import type { SourceMeta, WantedMeta } from '../../builder/source-verifier.ts';
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
      image: { digest: image.digest, ...(image.config && { config: image.config }) },
    }),
    ...(git && {
      git: {
        checksum: git.checksum,
        ref: git.ref,
        ...(git.commitChecksum !== undefined && { commitChecksum: git.commitChecksum }),
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

/** What a client wants to know of a source. */
export function wantedMeta({ resolveMode, image }: ResolveSourceMetaRequest): WantedMeta {
  return { pull: resolveMode === 'pull', noConfig: image?.noConfig ?? false };
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
