import { formatPlatform } from '../base/platform.ts';
import { formatReference } from '../base/reference.ts';
import type { BuildRequest } from '../builder/request.ts';
import type { ImageOptions, OutputPlace, OutputSpec } from '../exporter/output-spec.ts';
import type { OutputArrival, OutputWords } from './build-words.ts';

type Attributes = Record<string, string>;

/** Writes an output in the words of the API: the inverse of `parseOutput`. */
export function outputWords(
  output: OutputSpec,
  { epoch }: Pick<BuildRequest, 'epoch'>,
): OutputWords {
  const { type } = output;
  switch (output.type) {
    case 'image':
      return {
        type,
        attrs: defined({
          ...imageAttributes(output.image, epoch),
          push: onlyTrue(output.push),
          store: output.store ? undefined : 'false',
          'name-canonical': onlyTrue(output.canonical),
          'push-by-digest': onlyTrue(output.byDigest),
          'registry.insecure': onlyTrue(output.insecure ?? false),
        }),
      };
    case 'oci': {
      const attributes = imageAttributes(output.image, epoch);
      return output.tar
        ? { type, attrs: defined(attributes), comes: bytesTo(output.destination) }
        : {
            type,
            attrs: defined({ ...attributes, tar: 'false' }),
            comes: { kind: 'layout', path: output.directory },
          };
    }
    case 'docker':
      return {
        type,
        attrs: defined(imageAttributes(output.image, epoch)),
        comes: output.destination ? bytesTo(output.destination) : { kind: 'engine' },
      };
    case 'tar':
      return {
        type,
        attrs: defined({ 'attestation-prefix': output.attestationPrefix }),
        comes: bytesTo(output.destination),
      };
    case 'local':
      return {
        type,
        attrs: defined({
          'platform-split': flag(output.platformSplit),
          'attestation-prefix': output.attestationPrefix,
          mode: output.deletes ? 'delete' : undefined,
        }),
        comes: { kind: 'tree', path: output.directory, deletes: output.deletes ?? false },
      };
  }
}

function bytesTo(place: OutputPlace): OutputArrival {
  return { kind: 'bytes', place };
}

function imageAttributes(image: ImageOptions, epoch: number | undefined) {
  return {
    name: image.names.map(formatReference).join(',') || undefined,
    compression: image.compression,
    'compression-level': image.level === undefined ? undefined : String(image.level),
    'force-compression': onlyTrue(image.forceCompression),
    'oci-mediatypes': flag(image.ociTypes),
    'oci-artifact': flag(image.ociArtifact),
    'multi-platform': onlyTrue(image.alwaysIndex),
    // Only with a time to rewrite them to: other servers do more for it than Kiln does.
    'rewrite-timestamp': epoch === undefined ? undefined : String(image.rewriteTimestamp),
    ...Object.fromEntries(
      image.annotations.map(({ target, platform, key, value }) => [
        `annotation-${target}${platform ? `[${formatPlatform(platform)}]` : ''}.${key}`,
        value,
      ]),
    ),
  };
}

function onlyTrue(value: boolean): string | undefined {
  return value ? 'true' : undefined;
}

function flag(value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

function defined(attributes: Readonly<Record<string, string | undefined>>): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
