import { type Digest, digestOf } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';
import { formatPlatformInFull } from '../../base/platform.ts';
import { redactData, redactUrl } from '../../base/redact.ts';
import { type Predicate, SPDX } from '../../exporter/attest/attestation.ts';
import { IN_TOTO, PREDICATE_TYPE } from '../../exporter/attest/statement.ts';
import type { AssembledImage } from '../../exporter/image.ts';
import { indentedJson } from '../../exporter/image-documents.ts';
import { attest } from '../attest.ts';
import type { SolvedBuild } from '../solve-build.ts';

/** What the last line of a log says of the result. Its documents are attached to the log. */
export interface KeptResult {
  /** The image or index that each output made, by the number of the output. */
  readonly images: Readonly<Record<string, Descriptor>>;
  readonly attestations: readonly KeptAttestation[];
}

export interface KeptAttestation {
  /** Undefined when the result is for one platform. */
  readonly platform: string | undefined;
  /** Its annotations tell the type of the predicate. */
  readonly descriptor: Descriptor;
}

/**
 * Keeps what the history shows of a result: the documents of the images that were made of it, and
 * how it was made, which is the provenance with all its details, whatever the request says of
 * attestations. `attach` keeps a document with the log.
 */
export async function keepResult(
  { targets, facts, attest: asked }: SolvedBuild,
  images: ReadonlyMap<number, AssembledImage>,
  attach: (digest: Digest, bytes: Uint8Array) => void,
): Promise<KeptResult> {
  // A login in a label or a variable is in the image alone: no other text has its digest.
  for (const { documents } of images.values())
    for (const [digest, text] of documents)
      if (redactUrl(text) === text) attach(digest, Buffer.from(text));
  const provenance = { ...DETAILED, builderId: facts.request.attest.provenance?.builderId ?? '' };
  const attestations = await Promise.all(
    targets.map(async (target): Promise<readonly KeptAttestation[]> => {
      const made = await attest(facts, target, { provenance, sbom: false });
      const scanned = ((await asked?.(target)) ?? []).filter(({ type }) => type === SPDX);
      const platform = targets.length > 1 ? formatPlatformInFull(target.platform) : undefined;
      return [...new Set([...made, ...scanned])].map((predicate) => ({
        platform,
        descriptor: attachPredicate(predicate, attach),
      }));
    }),
  );
  return {
    images: Object.fromEntries([...images].map(([output, { target }]) => [output, target])),
    attestations: attestations.flat(),
  };
}

/** The version that BuildKit keeps, which all clients read. */
const DETAILED = { mode: 'max', version: 'v0.2', reproducible: false, inlineOnly: false } as const;

function attachPredicate(
  { type, body }: Predicate,
  attach: (digest: Digest, bytes: Uint8Array) => void,
): Descriptor {
  const bytes = Buffer.from(indentedJson(redactData(body)));
  const digest = digestOf(bytes);
  attach(digest, bytes);
  return {
    mediaType: IN_TOTO,
    digest,
    size: bytes.byteLength,
    annotations: { [PREDICATE_TYPE]: type },
  };
}
