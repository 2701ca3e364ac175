import { type Digest, isDigest } from '../base/digest.ts';
import { KilnError, messageOf } from '../base/errors.ts';
import { type Descriptor, type ImageConfig, type Index, type Manifest, MEDIA } from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';
import { normalisePlatform } from '../base/platform.ts';

/**
 * Manifests, indexes and configs as they come from outside: every field we use is checked once, here. A document that could be
 * read as two kinds is refused (CVE-2021-41190).
 */

/** image-spec and distribution-spec ask for at least 4 MiB; nothing real comes near. */
export const MAX_MANIFEST = 4 << 20;
export const MAX_CONFIG = 8 << 20;
const MAX_LAYERS = 4096;

export type ImageDocument =
  | { readonly kind: 'index'; readonly index: Index }
  | { readonly kind: 'manifest'; readonly manifest: Manifest };

export const INDEX_TYPES: readonly string[] = [MEDIA.ociIndex, MEDIA.dockerIndex];
export const MANIFEST_TYPES: readonly string[] = [MEDIA.ociManifest, MEDIA.dockerManifest];

type Json = Readonly<Record<string, unknown>>;

/**
 * Parses a manifest or an index. `mediaType` is what the sender or the descriptor said it is; it must agree with the document.
 * `where` is for the message. Throws KILN_MANIFEST_INVALID or KILN_MANIFEST_UNSUPPORTED.
 */
export function parseDocument(bytes: Uint8Array, mediaType: string, where: string): ImageDocument {
  const json = parseJson(bytes, where);
  const invalid = (why: string) => new KilnError('KILN_MANIFEST_INVALID', `${where} is not valid: ${why}`);
  if (json['schemaVersion'] === 1 || mediaType.startsWith('application/vnd.docker.distribution.manifest.v1')) {
    throw new KilnError('KILN_MANIFEST_UNSUPPORTED', `${where} has the Docker schema 1 format, which is no longer supported`, {
      hint: 'push the image again with a current tool',
    });
  }
  const looksIndex = json['manifests'] !== undefined;
  const looksManifest = json['layers'] !== undefined || json['config'] !== undefined;
  if (looksIndex && looksManifest) throw invalid('it has both manifests and layers');
  if (!looksIndex && !looksManifest) throw invalid('it has neither manifests nor layers');
  if (json['schemaVersion'] !== 2) throw invalid(`schemaVersion is ${JSON.stringify(json['schemaVersion'])}, not 2`);
  const own = json['mediaType'];
  if (own !== undefined && own !== mediaType)
    throw invalid(`it says it is ${JSON.stringify(own)} but was sent as ${JSON.stringify(mediaType)}`);
  const types = looksIndex ? INDEX_TYPES : MANIFEST_TYPES;
  if (!types.includes(mediaType))
    throw invalid(`${JSON.stringify(mediaType)} is not the type of ${looksIndex ? 'an index' : 'an image manifest'}`);
  const annotations = annotationsOf(json);
  if (looksIndex) {
    const manifests = list(json['manifests'], invalid).map((entry) => descriptorOf(entry, invalid));
    return { kind: 'index', index: { schemaVersion: 2, mediaType, manifests, ...annotations } };
  }
  const config = descriptorOf(json['config'], invalid);
  const layers = list(json['layers'], invalid).map((entry) => descriptorOf(entry, invalid));
  return { kind: 'manifest', manifest: { schemaVersion: 2, mediaType, config, layers, ...annotations } };
}

/** Parses an image config; only what Kiln relies on is checked, all else stays as it is. */
export function parseConfig(bytes: Uint8Array, where: string): ImageConfig {
  const json = parseJson(bytes, where);
  const invalid = (why: string) => new KilnError('KILN_CONFIG_INVALID', `${where} is not valid: ${why}`);
  for (const field of ['architecture', 'os']) {
    if (typeof json[field] !== 'string') throw invalid(`${field} is ${json[field] === undefined ? 'missing' : 'not a string'}`);
  }
  const rootfs = json['rootfs'] as Json | undefined;
  if (rootfs !== undefined) {
    const ids = isObject(rootfs) ? rootfs['diff_ids'] : undefined;
    // Go writes an empty list as null.
    if (ids !== null && !(Array.isArray(ids) && ids.every((id) => typeof id === 'string' && isDigest(id)))) {
      throw invalid('rootfs.diff_ids is not a list of sha256 digests');
    }
  }
  checkConfigFields(json['config'], invalid);
  if (json['history'] !== undefined && json['history'] !== null && !Array.isArray(json['history']))
    throw invalid('history is not a list');
  return json as unknown as ImageConfig;
}

/** The parts of `config` that are lists of strings decide what is run: nothing else may stand there. */
function checkConfigFields(config: unknown, invalid: (why: string) => KilnError): void {
  if (config === undefined || config === null) return;
  if (!isObject(config)) throw invalid('config is not an object');
  for (const field of ['Env', 'Cmd', 'Entrypoint', 'OnBuild', 'Shell']) {
    const value = config[field];
    if (value === undefined || value === null) continue;
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
      throw invalid(`config.${field} is not a list of strings`);
  }
  for (const field of ['User', 'WorkingDir', 'StopSignal']) {
    if (config[field] !== undefined && config[field] !== null && typeof config[field] !== 'string')
      throw invalid(`config.${field} is not a string`);
  }
}

function parseJson(bytes: Uint8Array, where: string): Json {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new KilnError('KILN_MANIFEST_INVALID', `${where} is no JSON document: ${messageOf(cause)}`, { cause });
  }
  if (!isObject(parsed)) throw new KilnError('KILN_MANIFEST_INVALID', `${where} is no JSON object`);
  return parsed;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function list(value: unknown, invalid: (why: string) => KilnError): readonly unknown[] {
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalid('a list is missing');
  if (value.length > MAX_LAYERS) throw invalid(`it lists ${value.length} entries, ${MAX_LAYERS} are allowed`);
  return value;
}

function descriptorOf(value: unknown, invalid: (why: string) => KilnError): Descriptor {
  if (!isObject(value)) throw invalid('a descriptor is missing');
  const { mediaType, digest, size, platform, artifactType } = value;
  if (typeof mediaType !== 'string') throw invalid('a descriptor has no mediaType');
  if (typeof digest !== 'string' || !isDigest(digest)) throw invalid(`${JSON.stringify(digest)} is no sha256 digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw invalid(`${JSON.stringify(size)} is no size`);
  return {
    mediaType,
    digest: digest as Digest,
    size,
    ...(isObject(platform) ? { platform: platformOf(platform) } : {}),
    ...annotationsOf(value),
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
  };
}

/** The JSON form of a platform has `os.version` and `os.features`. */
export function platformOf(json: Json): Platform {
  const text = (name: string) => (typeof json[name] === 'string' ? (json[name] as string) : '');
  const features = json['os.features'];
  return normalisePlatform({
    os: text('os'),
    architecture: text('architecture'),
    variant: text('variant'),
    osVersion: text('os.version'),
    osFeatures: Array.isArray(features) ? features.filter((feature) => typeof feature === 'string') : [],
  });
}

function annotationsOf(json: Json): { annotations?: Readonly<Record<string, string>> } {
  const raw = json['annotations'];
  if (!isObject(raw)) return {};
  return {
    annotations: Object.fromEntries(
      Object.entries(raw).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    ),
  };
}
