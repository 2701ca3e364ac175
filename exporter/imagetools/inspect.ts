import { KilnError } from '../../base/errors.ts';
import { type Descriptor, type ImageConfig, type Index, MEDIA } from '../../base/oci.ts';
import { formatPlatform } from '../../base/platform.ts';
import type { FetchedDocument } from '../../registry/client.ts';
import { isObject, jsonOf } from '../../registry/json-fields.ts';
import { MAX_CONFIG, parseConfig } from '../../registry/parse-document.ts';
import type { ImageLocation } from './image-location.ts';

/** An image in a registry or a layout: its location, and the document that its name means. */
export interface RemoteImage {
  readonly location: ImageLocation;
  readonly root: FetchedDocument;
}

/**
 * Data about an image under buildx's names: by platform when there are several, or else of the only
 * one.
 */
export type ByPlatform = Readonly<Record<string, unknown>>;

const REFERENCE_TYPE = 'vnd.docker.reference.type';
const REFERENCE_DIGEST = 'vnd.docker.reference.digest';
const PREDICATE_TYPE = 'in-toto.io/predicate-type';
const CONFIG_TYPES: readonly string[] = [MEDIA.ociConfig, MEDIA.dockerConfig];
/** An attestation may be large: it may list the packages of a whole system. */
const MAX_STATEMENT = 64 << 20;

export async function openRemote(location: ImageLocation): Promise<RemoteImage> {
  return { location, root: await location.root() };
}

/** The manifests of an image that can be run, without attestations. */
function platformsOf(index: Index): readonly Descriptor[] {
  return index.manifests.filter(
    ({ annotations }) => annotations?.[REFERENCE_TYPE] !== 'attestation-manifest',
  );
}

/** The image configs. */
export async function remoteConfigs({ root, location }: RemoteImage): Promise<unknown> {
  const configOf = async (document: FetchedDocument): Promise<ImageConfig | undefined> => {
    if (document.document.kind === 'index') return undefined;
    const { config } = document.document.manifest;
    if (!CONFIG_TYPES.includes(config.mediaType)) return undefined;
    return parseConfig(await location.blob(config, MAX_CONFIG), `config of ${location.name}`);
  };
  if (root.document.kind === 'manifest') return shownConfig(await configOf(root));
  const found = await Promise.all(
    platformsOf(root.document.index).map(async (entry) => {
      const config = await configOf(await location.document(entry));
      return config && ([platformName(entry, config), shownConfig(config)] as const);
    }),
  );
  return byPlatform(found.filter((entry) => entry !== undefined));
}

/** The fields in the order of Go's struct. Fields for internal use of builders are left out. */
function shownConfig(config: ImageConfig | undefined): unknown {
  if (!config) return undefined;
  const { created, author, architecture, variant, os, config: run, rootfs, history } = config;
  return {
    created,
    author,
    architecture,
    os,
    'os.version': config['os.version'],
    variant,
    config: run,
    rootfs,
    history,
  };
}

function platformName(entry: Descriptor, config?: ImageConfig): string {
  if (entry.platform) return formatPlatform(entry.platform);
  if (!config) return entry.digest;
  return formatPlatform({
    os: config.os,
    architecture: config.architecture,
    ...(config.variant ? { variant: config.variant } : {}),
  });
}

/** A single platform is shown directly, several by their names. */
function byPlatform(entries: readonly (readonly [string, unknown])[]): unknown {
  return entries.length === 1 ? entries[0]?.[1] : Object.fromEntries(entries);
}

/**
 * Provenance (`SLSA`) or packages (`SPDX`) that the image's builder attached to it, as BuildKit
 * does; `{}` when there is none.
 */
export async function remoteStatements(
  { root, location }: RemoteImage,
  kind: 'SLSA' | 'SPDX',
): Promise<unknown> {
  if (root.document.kind === 'manifest') return {};
  const { index } = root.document;
  const platforms = platformsOf(index);
  const found = await Promise.all(
    platforms.map(async (entry) => {
      const attached = index.manifests.filter(
        ({ annotations }) => annotations?.[REFERENCE_DIGEST] === entry.digest,
      );
      const statements = await Promise.all(
        attached.map((manifest) => statementsIn(location, manifest, kind)),
      );
      const [first, ...more] = statements.flat();
      if (first === undefined) return undefined;
      return [
        platformName(entry),
        { [kind]: first, ...(more.length > 0 ? { [`Additional${kind}s`]: more } : {}) },
      ] as const;
    }),
  );
  const present = found.filter((entry) => entry !== undefined);
  return platforms.length === 1 ? (present[0]?.[1] ?? {}) : Object.fromEntries(present);
}

async function statementsIn(
  location: ImageLocation,
  descriptor: Descriptor,
  kind: 'SLSA' | 'SPDX',
): Promise<unknown[]> {
  const { document } = await location.document(descriptor);
  if (document.kind === 'index') return [];
  const type = kind === 'SLSA' ? 'https://slsa.dev/provenance/' : 'https://spdx.dev/Document';
  const layers = document.manifest.layers.filter(
    ({ mediaType, annotations }) =>
      mediaType === 'application/vnd.in-toto+json' &&
      annotations?.[PREDICATE_TYPE]?.startsWith(type),
  );
  return Promise.all(
    layers.map(async (layer) => predicate(await location.blob(layer, MAX_STATEMENT), layer.digest)),
  );
}

function predicate(bytes: Buffer, where: string): unknown {
  const statement = jsonOf(bytes)?.value;
  if (!isObject(statement))
    throw new KilnError('KILN_MANIFEST_INVALID', `attestation ${where} is not a JSON object`);
  return sorted(statement['predicate']);
}

/** Sorts the keys of objects, as Go prints a map. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

/** The root as buildx prints it: the fields of an index, or the descriptor of a manifest. */
export function remoteManifest({ root }: RemoteImage): Readonly<Record<string, unknown>> {
  const own = { mediaType: root.mediaType, digest: root.digest, size: root.bytes.length };
  if (root.document.kind === 'manifest') return own;
  const { manifests, annotations } = JSON.parse(root.bytes.toString()) as Record<string, unknown>;
  return {
    schemaVersion: 2,
    ...own,
    manifests,
    ...(annotations === undefined ? {} : { annotations }),
  };
}
