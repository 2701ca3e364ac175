import { statSync } from 'node:fs';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type Descriptor, type Manifest, MEDIA } from '../base/oci.ts';
import { formatReference, parseReference } from '../base/reference.ts';
import { type Layout, openLayout } from '../registry/layout.ts';
import {
  MAX_CONFIG,
  MAX_MANIFEST,
  parseConfig,
  parseDocument,
} from '../registry/parse-document.ts';
import type { ContentStore } from '../snapshotter/content.ts';
import { loadDockerArchive } from './load-docker.ts';
import type { LoadedImage, LoadOptions, LoadServices } from './loading.ts';

const CONFIG_TYPES: readonly string[] = [MEDIA.ociConfig, MEDIA.dockerConfig];
const FULL_NAME = 'io.containerd.image.name';
const REF_NAME = 'org.opencontainers.image.ref.name';
const MAX_NESTING = 3;

/**
 * Reads every image of an OCI layout (a directory or a tar archive), or of an archive written by
 * `docker save`, into the store. The input is not trusted: every blob is hashed before it is
 * visible, actual sizes are used, and names in it never become paths. An index may name manifests
 * that are not in the layout, as `docker save` of one platform writes it.
 */
export async function loadArchive(
  services: LoadServices,
  path: string,
  options: LoadOptions,
): Promise<LoadedImage[]> {
  const layout = layoutAt(path);
  if (!layout) return loadDockerArchive(services, path, options);
  using opened = layout;
  const loaded = new Map<Digest, { target: Descriptor; configs: Digest[]; names: Set<string> }>();
  for (const entry of opened.index.manifests) {
    const { annotations: _, ...target } = entry;
    const image = loaded.get(entry.digest) ?? {
      target,
      configs: await loadTree(services, opened, target, options, 0),
      names: new Set(),
    };
    loaded.set(entry.digest, image);
    const name = nameOf(entry) ?? options.name;
    if (name !== undefined) image.names.add(name);
  }
  const named = [...loaded.values()].flatMap(({ target, configs, names }) =>
    [...names].map((name) => ({ name, target, configs, created: Date.now() })),
  );
  services.images.put(...named);
  return [...loaded.values()].map(({ target, names }) => ({ target, names: [...names] }));
}

/** The layout at `path`, or undefined when it is an archive in Docker's own format. */
function layoutAt(path: string): Layout | undefined {
  try {
    return openLayout(path);
  } catch (error) {
    const isOther =
      error instanceof KilnError &&
      error.code === 'KILN_LAYOUT_INVALID' &&
      /no oci-layout file/.test(error.message);
    if (isOther && !statSync(path).isDirectory()) return undefined;
    throw error;
  }
}

/** The full name of an entry. Some tools write a reference in place of the tag. */
function nameOf(entry: Descriptor): string | undefined {
  const reference = entry.annotations?.[REF_NAME];
  const text = entry.annotations?.[FULL_NAME] ?? (reference?.includes(':') ? reference : undefined);
  return text === undefined ? undefined : formatReference(parseReference(text));
}

/**
 * Loads a document and everything it names, children first. Returns the digests of the image
 * configs.
 */
async function loadTree(
  services: LoadServices,
  layout: Layout,
  target: Descriptor,
  options: LoadOptions,
  depth: number,
): Promise<Digest[]> {
  const bytes = layout.read(target, MAX_MANIFEST);
  const where = `manifest ${target.digest} of ${layout.path}`;
  const document = parseDocument(bytes, target.mediaType, where);
  if (document.kind === 'manifest') {
    const configs = await loadManifest(services, layout, document.manifest, where, options);
    services.content.put(bytes);
    return configs;
  }
  if (depth >= MAX_NESTING)
    throw new KilnError(
      'KILN_MANIFEST_INVALID',
      `${layout.path} has indexes nested more than ${MAX_NESTING} deep`,
    );
  const configs: Digest[] = [];
  let found = 0;
  for (const child of document.index.manifests) {
    if (!isThere(layout, child)) continue;
    found++;
    configs.push(...(await loadTree(services, layout, child, options, depth + 1)));
  }
  if (found === 0 && document.index.manifests.length > 0) {
    throw new KilnError(
      'KILN_BLOB_NOT_FOUND',
      `${layout.path} does not have any of the manifests that its index ${target.digest} names`,
    );
  }
  services.content.put(bytes);
  return configs;
}

function isThere(layout: Layout, document: Descriptor): boolean {
  try {
    layout.read(document, MAX_MANIFEST);
    return true;
  } catch (error) {
    if (error instanceof KilnError && error.code === 'KILN_BLOB_NOT_FOUND') return false;
    throw error;
  }
}

async function loadManifest(
  { content }: LoadServices,
  layout: Layout,
  manifest: Manifest,
  where: string,
  { signal, progress }: LoadOptions,
): Promise<Digest[]> {
  const isImage = CONFIG_TYPES.includes(manifest.config.mediaType);
  const config = layout.read(manifest.config, MAX_CONFIG);
  const diffIds = isImage ? (parseConfig(config, `config of ${where}`).rootfs?.diff_ids ?? []) : [];
  if (isImage && diffIds.length !== manifest.layers.length) {
    throw new KilnError(
      'KILN_MANIFEST_INVALID',
      `${where} has ${manifest.layers.length} layers and ${diffIds.length} diff ids`,
    );
  }
  // The diffID of a layer is only stated by the archive until the layer is unpacked. Until then no
  // other image may use the blob.
  for (const layer of manifest.layers) await copyBlob(content, layout, layer, signal, progress);
  content.put(config);
  return isImage ? [manifest.config.digest] : [];
}

async function copyBlob(
  content: ContentStore,
  layout: Layout,
  blob: Descriptor,
  signal: AbortSignal,
  progress: LoadOptions['progress'],
): Promise<void> {
  if (content.size(blob.digest) === blob.size) return;
  using writer = content.writer();
  await layout.copy(blob, writer, signal, (copied) => progress?.(blob.digest, copied, blob.size));
}
