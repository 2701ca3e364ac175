import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { type Descriptor, MEDIA } from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';
import { redactData } from '../../base/redact.ts';
import type { Reference } from '../../base/reference.ts';
import { compactJson, indentedJson, manifestJson } from '../image-documents.ts';
import type { Predicate } from './attestation.ts';
import { imagePurl } from './purl.ts';

/** The media type of a statement or predicate. */
export const IN_TOTO = 'application/vnd.in-toto+json';
const ARTIFACT = 'application/vnd.docker.attestation.manifest.v1+json';
/** The media type of `{}`, which an artifact has in the place of a config (image-spec 1.1). */
const EMPTY = 'application/vnd.oci.empty.v1+json';
/** The annotation of a descriptor that tells the type of the predicate. */
export const PREDICATE_TYPE = 'in-toto.io/predicate-type';

/** The subject of a statement: in-toto's ResourceDescriptor. */
export interface Subject {
  readonly name: string;
  readonly digest: Readonly<Record<string, string>>;
}

/**
 * An in-toto statement without white space, of version 1.
 */
export function statementJson(predicate: Predicate, subjects: readonly Subject[]): string {
  return compactJson(statement(predicate, subjects));
}

/** The same statement indented, for people to read. */
export function statementText(predicate: Predicate, subjects: readonly Subject[]): string {
  return indentedJson(statement(predicate, subjects));
}

function statement(
  { type, body, subjects = ['self'] }: Predicate,
  self: readonly Subject[],
): object {
  const subject = subjects.flatMap((one) => (one === 'self' ? self : [one]));
  return {
    _type: 'https://in-toto.io/Statement/v1',
    predicateType: type,
    subject,
    predicate: redactData(body),
  };
}

/** The image as the subject, once for each of its names. */
export function imageSubjects(
  manifest: Descriptor,
  names: readonly Reference[],
  platform: Platform,
): Subject[] {
  const digest = { sha256: hexOf(manifest.digest) };
  if (names.length === 0) return [{ name: '_', digest }];
  return names.map((name) => ({ name: imagePurl('docker', name, platform), digest }));
}

/**
 * The attestation manifest of one image manifest, as BuildKit builds it (moby/buildkit
 * docs/attestations/attestation-storage.md): a layer for each statement, and a descriptor that
 * names the image manifest. As an `artifact` it names it as its subject, too, so that registries
 * list it among the referrers of the image. Its documents are added to `documents`.
 */
export function attestationManifest(
  manifest: Descriptor,
  statements: readonly { readonly type: string; readonly text: string }[],
  documents: Map<Digest, string>,
  form: 'image' | 'artifact' = 'artifact',
): Descriptor {
  const put = (mediaType: string, text: string): Descriptor => {
    const digest = digestOf(text);
    documents.set(digest, text);
    return { mediaType, digest, size: Buffer.byteLength(text) };
  };
  const layers = statements.map(({ type, text }) => ({
    ...put(IN_TOTO, text),
    annotations: { [PREDICATE_TYPE]: type },
  }));
  const mediaType = MEDIA.ociManifest;
  const about =
    form === 'artifact'
      ? {
          config: { ...put(EMPTY, '{}'), data: Buffer.from('{}').toString('base64') },
          artifactType: ARTIFACT,
          subject: {
            mediaType: manifest.mediaType,
            digest: manifest.digest,
            size: manifest.size,
          },
        }
      : { config: put(MEDIA.ociConfig, configOf(layers.map(({ digest }) => digest))) };
  return {
    ...put(mediaType, manifestJson({ schemaVersion: 2, mediaType, layers, ...about })),
    platform: { os: 'unknown', architecture: 'unknown' },
    annotations: {
      'vnd.docker.reference.digest': manifest.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    },
  };
}

/** In BuildKit's order of fields, which differs from that of an image's config. */
function configOf(diffIds: readonly Digest[]): string {
  return compactJson({
    architecture: 'unknown',
    os: 'unknown',
    config: {},
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
}
