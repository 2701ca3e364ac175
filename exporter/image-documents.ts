import type {
  ContainerConfig,
  Descriptor,
  HistoryEntry,
  ImageConfig,
  Index,
  Manifest,
} from '../base/oci.ts';
import type { Platform } from '../base/platform.ts';

/**
 * The JSON documents of an image, byte for byte as Docker's builder writes them, so that equal
 * images have equal digests in both engines: the field order of Docker's Go structs, Go's escapes,
 * and null for a nil slice in Go.
 */

/**
 * Compact JSON as Go's encoding/json writes it. A Map becomes an object with its keys in the order
 * of the Map.
 */
export function compactJson(value: unknown): string {
  return hasMap(value) ? json(value, '', '') : goEscapes(JSON.stringify(value));
}

/** The same JSON on several lines, indented by two spaces. */
export function indentedJson(value: unknown): string {
  return hasMap(value) ? json(value, '\n', '  ') : goEscapes(JSON.stringify(value, undefined, 2));
}

/**
 * A Map keeps the order of keys that look like numbers (`LABEL 1=x`). JSON.stringify does not
 * support Maps.
 */
function hasMap(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return value instanceof Map || Object.values(value).some(hasMap);
}

function json(value: unknown, newline: string, indent: string): string {
  if (typeof value !== 'object' || value === null) return goEscapes(JSON.stringify(value));
  const deeper = newline + indent;
  const list = (open: string, items: readonly string[], close: string) =>
    items.length === 0
      ? open + close
      : `${open}${deeper}${items.join(`,${deeper}`)}${newline}${close}`;
  if (Array.isArray(value))
    return list(
      '[',
      value.map((item) => json(item, newline && deeper, indent)),
      ']',
    );
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const members = entries
    .filter(([, member]) => member !== undefined)
    .map(
      ([name, member]) =>
        `${json(name, '', '')}:${newline && ' '}${json(member, newline && deeper, indent)}`,
    );
  return list('{', members, '}');
}

/**
 * encoding/json escapes the characters that could end a script element, and two line separators
 * that were not valid in JavaScript strings.
 */
function goEscapes(text: string): string {
  return text.replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export function manifestJson(manifest: Manifest): string {
  const { schemaVersion, mediaType, artifactType, config, layers, subject, annotations } = manifest;
  return indentedJson({
    schemaVersion,
    mediaType,
    ...(artifactType && { artifactType }),
    config: descriptorDocument(config),
    layers: layers.length > 0 ? layers.map(descriptorDocument) : null,
    ...(subject && { subject: descriptorDocument(subject) }),
    ...optionalMap('annotations', annotations),
  });
}

export function indexJson(index: Index): string {
  return indentedJson(orderedIndex(index));
}

/** `index.json` of a layout, which has no white space. */
export function layoutIndexJson(index: Index): string {
  return compactJson(orderedIndex(index));
}

function orderedIndex(index: Index): object {
  const { schemaVersion, mediaType, manifests, annotations } = index;
  return {
    schemaVersion,
    mediaType,
    manifests: manifests.map(descriptorDocument),
    ...optionalMap('annotations', annotations),
  };
}

/** A descriptor in the field order of image-spec's Go struct. */
export function descriptorDocument(descriptor: Descriptor): object {
  const { mediaType, digest, size, annotations, data, platform, artifactType } = descriptor;
  return {
    mediaType,
    digest,
    size,
    ...optionalMap('annotations', annotations),
    ...(data ? { data } : {}),
    ...(platform ? { platform: platformDocument(platform) } : {}),
    ...(artifactType ? { artifactType } : {}),
  };
}

/** A platform as documents have it. */
export function platformDocument(platform: Platform): object {
  const { architecture, os, osVersion, osFeatures, variant } = platform;
  return {
    architecture,
    os,
    ...(osVersion ? { 'os.version': osVersion } : {}),
    ...(osFeatures && osFeatures.length > 0 ? { 'os.features': osFeatures } : {}),
    ...(variant ? { variant } : {}),
  };
}

/**
 * The image config: its own keys sorted, `config` in Docker's order, unknown fields after known
 * ones.
 */
export function configJson(config: ImageConfig): string {
  const document: Record<string, unknown> = { ...config };
  if (config.config) document['config'] = orderedContainer(config.config);
  if (config.history) document['history'] = config.history.map(orderedHistory);
  const ids = config.rootfs?.diff_ids ?? [];
  document['rootfs'] = { type: 'layers', diff_ids: ids.length > 0 ? ids : null };
  document['created'] = config.created ?? null;
  return compactJson(sortedMap(document));
}

function orderedHistory(entry: HistoryEntry): object {
  const { created, created_by, author, comment, empty_layer } = entry;
  return withoutEmpty({ created, created_by, author, comment, empty_layer });
}

const CONTAINER_ORDER = [
  'User',
  'ExposedPorts',
  'Env',
  'Entrypoint',
  'Cmd',
  'Volumes',
  'WorkingDir',
  'Labels',
  'StopSignal',
  'ArgsEscaped',
  'Healthcheck',
  'OnBuild',
  'Shell',
] as const;

const HEALTHCHECK_ORDER = [
  'Test',
  'Interval',
  'Timeout',
  'StartPeriod',
  'StartInterval',
  'Retries',
] as const;

function orderedContainer(config: ContainerConfig): object {
  const known: readonly string[] = CONTAINER_ORDER;
  const fields: Record<string, unknown> = {};
  for (const name of known) fields[name] = config[name];
  for (const name of ['ExposedPorts', 'Volumes', 'Labels'] as const)
    if (config[name]) fields[name] = sortedMap(config[name]);
  const check = config.Healthcheck;
  if (check)
    fields['Healthcheck'] = withoutEmpty(
      Object.fromEntries(HEALTHCHECK_ORDER.map((name) => [name, check[name]])),
    );
  const unknown = Object.fromEntries(
    Object.entries(config).filter(([name]) => !known.includes(name)),
  );
  return new Map([...Object.entries(withoutEmpty(fields)), ...sortedMap(unknown)]);
}

/**
 * Removes the values that Go's `omitempty` leaves out: false, 0, "", and lists and maps without
 * entries. A struct is kept.
 */
function withoutEmpty(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => name === 'Healthcheck' || !isEmpty(value)),
  );
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '')
    return true;
  if (value instanceof Map) return value.size === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function optionalMap(name: string, map: Readonly<Record<string, string>> | undefined): object {
  return map && Object.keys(map).length > 0 ? { [name]: sortedMap(map) } : {};
}

/** Go writes maps in the byte order of their keys. */
function sortedMap(map: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const entries = Object.entries(map).filter(([, value]) => value !== undefined);
  return new Map(entries.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
}
