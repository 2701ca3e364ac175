import type { Digest } from '../base/digest.ts';
import type { Descriptor } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import type { SourceOp } from '../solver/llb/ops.ts';

/**
 * Decides about a source that the rules of a build let pass. The caller of the build lends it. It
 * may want to know more of the source first, and is then asked again.
 */
export type SourceVerifier = (
  question: SourceQuestion,
  signal: AbortSignal,
) => Promise<SourceDecision>;

export interface SourceQuestion {
  readonly source: SourceOp;
  readonly platform: Platform | undefined;
  /** What was found of the source since it was asked about. Empty at first. */
  readonly meta: SourceMeta;
}

export type SourceDecision =
  | { readonly kind: 'allow' }
  | { readonly kind: 'deny'; readonly messages: readonly string[]; readonly cause?: unknown }
  | { readonly kind: 'convert'; readonly source: SourceOp }
  /** The source must be the one that was asked about. */
  | {
      readonly kind: 'ask';
      readonly source: SourceOp;
      readonly platform: Platform | undefined;
      readonly wanted: WantedMeta;
    };

/** What is known of a source before it is used. Of a directory nothing is. */
export interface SourceMeta {
  readonly image?:
    | {
        readonly digest: string;
        /** The full name with tag. */
        readonly name: string;
        /** The image config as JSON. Undefined when it was not wanted. */
        readonly config: Buffer | undefined;
        readonly chain?: AttestationChain | undefined;
      }
    | undefined;
  readonly git?:
    | {
        /** The full name of the branch or tag, or the ID of a commit. */
        readonly ref: string;
        /** The ID of what the ref points to: a commit or an annotated tag. */
        readonly checksum: string;
        /** The ID of the commit of an annotated tag. Undefined when that is `checksum`. */
        readonly commitChecksum: string | undefined;
        /** The commit as git stores it, when it was wanted. */
        readonly commitObject?: Buffer | undefined;
        /** The annotated tag as git stores it, when it was wanted and there is one. */
        readonly tagObject?: Buffer | undefined;
      }
    | undefined;
  readonly http?:
    | {
        readonly digest: string;
        readonly filename: string;
        /** When the server says that the file was changed. */
        readonly lastModified: Date | undefined;
      }
    | undefined;
}

/** What is wanted of a source. */
export interface WantedMeta {
  /** The image is asked for in its registry, even if it is here. */
  readonly pull?: boolean | undefined;
  readonly noConfig?: boolean | undefined;
  /** The types of predicates that are wanted of an image. Undefined for no attestations. */
  readonly attestations?: readonly string[] | undefined;
  /** The commit and the tag of a repository are fetched. */
  readonly gitObjects?: boolean | undefined;
}

/** How an image leads to what is attested about it. */
export interface AttestationChain {
  /** What the name of the image stands for: an index, or the manifest. */
  readonly root: Digest;
  readonly imageManifest: Digest;
  readonly attestationManifest?: Digest | undefined;
  /** The documents, and the statements that were wanted. */
  readonly blobs: ReadonlyMap<Digest, ChainBlob>;
}

export interface ChainBlob {
  readonly descriptor: Descriptor;
  readonly data: Buffer;
}
