import { closeSync, constants, openSync, readSync } from 'node:fs';
import type { Digest } from '../base/digest.ts';
import { CancelledError, KilnError } from '../base/errors.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import { attempt, reading } from '../base/oserror.ts';
import { formatReference, parseReference } from '../base/reference.ts';
import { indexArchive, type Member } from '../registry/archive.ts';
import { jsonOf } from '../registry/json-fields.ts';
import { MAX_CONFIG, MAX_MANIFEST, parseConfig } from '../registry/parse-document.ts';
import { manifestJson } from './image-documents.ts';
import type { LoadedImage, LoadOptions, LoadServices } from './loading.ts';

/** One element of `manifest.json` as it was read: its fields have not been checked yet. */
interface Element {
  readonly config: string;
  readonly layers: readonly string[];
  readonly names: readonly string[];
}

/**
 * Reads an archive in the format that `docker save` wrote before Docker 25 (moby, image/spec v1.2):
 * `manifest.json` names a config and uncompressed or gzip layers by their path in the archive. The
 * config's diffIDs verify the layers.
 */
export async function loadDockerArchive(
  services: LoadServices,
  path: string,
  options: LoadOptions,
): Promise<LoadedImage[]> {
  const fd = attempt(reading('the archive', path), () =>
    openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
  );
  try {
    const archive = new Archive(fd, path);
    const loaded: LoadedImage[] = [];
    for (const element of elementsOf(archive))
      loaded.push(await loadElement(services, archive, element, options));
    return loaded;
  } finally {
    closeSync(fd);
  }
}

async function loadElement(
  services: LoadServices,
  archive: Archive,
  element: Element,
  options: LoadOptions,
): Promise<LoadedImage> {
  const config = archive.read(element.config, MAX_CONFIG);
  const parsed = parseConfig(config, `config of ${archive.path}`);
  const diffIds = parsed.rootfs?.diff_ids ?? [];
  if (diffIds.length !== element.layers.length) {
    throw archive.invalid(`it has ${element.layers.length} layers and ${diffIds.length} diff ids`);
  }
  const layers: Descriptor[] = [];
  for (const [index, name] of element.layers.entries()) {
    layers.push(await loadLayer(services, archive, name, diffIds[index] as Digest, options));
  }
  const descriptor = {
    mediaType: MEDIA.dockerConfig,
    digest: services.content.put(config),
    size: config.byteLength,
  };
  const manifest = Buffer.from(
    manifestJson({ schemaVersion: 2, mediaType: MEDIA.dockerManifest, config: descriptor, layers }),
  );
  const target: Descriptor = {
    mediaType: MEDIA.dockerManifest,
    digest: services.content.put(manifest),
    size: manifest.byteLength,
    platform: {
      os: parsed.os,
      architecture: parsed.architecture,
      ...(parsed.variant ? { variant: parsed.variant } : {}),
    },
  };
  const given = element.names.map((name) => formatReference(parseReference(name)));
  const names = given.length === 0 && options.name !== undefined ? [options.name] : given;
  const configs = [descriptor.digest];
  services.images.put(...names.map((name) => ({ name, target, configs, created: Date.now() })));
  return { target, names };
}

async function loadLayer(
  services: LoadServices,
  archive: Archive,
  name: string,
  diffId: Digest,
  options: LoadOptions,
): Promise<Descriptor> {
  const member = archive.member(name);
  const gzip = archive.piece(member, 0, 2).equals(Buffer.from([0x1f, 0x8b]));
  const mediaType = gzip ? MEDIA.dockerLayerGzip : MEDIA.dockerLayer;
  using writer = services.content.writer();
  for (let at = 0; at < member.size; ) {
    if (options.signal.aborted) throw new CancelledError(options.signal.reason);
    const piece = archive.piece(member, at, Math.min(1 << 20, member.size - at));
    if (piece.length === 0) throw archive.invalid(`${JSON.stringify(name)} ends too early`);
    writer.write(piece);
    at += piece.length;
    options.progress?.(diffId, at, member.size);
    await new Promise(setImmediate);
  }
  // The layer that a blob holds is recorded when it is unpacked, as for every pulled blob. A plain
  // tar with another content is noticed here.
  const { digest, size } = writer.commit(gzip ? {} : { digest: diffId });
  return { mediaType, digest, size };
}

/** The members of an archive by name. */
class Archive {
  readonly path: string;
  readonly #fd: number;
  readonly #members: ReadonlyMap<string, Member>;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.path = path;
    this.#members = indexArchive(fd, path);
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  member(name: string): Member {
    const member = this.#members.get(name);
    if (member) return member;
    throw this.invalid(`it has no ${JSON.stringify(name)}`);
  }

  piece(member: Member, offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(Math.min(length, member.size - offset));
    const count = attempt(reading('the archive', this.path), () =>
      readSync(this.#fd, bytes, 0, bytes.length, member.offset + offset),
    );
    return bytes.subarray(0, count);
  }

  read(name: string, limit: number): Buffer {
    const member = this.member(name);
    if (member.size > limit)
      throw this.invalid(`${JSON.stringify(name)} has ${member.size} bytes, ${limit} are allowed`);
    return this.piece(member, 0, member.size);
  }

  invalid(why: string): KilnError {
    return new KilnError('KILN_ARCHIVE_INVALID', `${this.path} is not an image archive: ${why}`, {
      place: { kind: 'path', path: this.path },
    });
  }
}

function elementsOf(archive: Archive): Element[] {
  if (!archive.has('manifest.json'))
    throw archive.invalid('it has neither oci-layout nor manifest.json');
  const document = jsonOf(archive.read('manifest.json', MAX_MANIFEST))?.value;
  if (!Array.isArray(document) || document.length > 1000)
    throw archive.invalid('its manifest.json is not a list of images');
  return document.map((element: unknown) => {
    if (typeof element !== 'object' || element === null)
      throw archive.invalid('its manifest.json is not a list of images');
    const { Config, Layers, RepoTags } = element as Record<string, unknown>;
    if (typeof Config !== 'string')
      throw archive.invalid('an image in its manifest.json has no Config');
    return { config: Config, layers: strings(Layers, archive), names: strings(RepoTags, archive) };
  });
}

function strings(value: unknown, archive: Archive): string[] {
  if (value === undefined || value === null) return [];
  if (
    Array.isArray(value) &&
    value.length <= 4096 &&
    value.every((item) => typeof item === 'string')
  )
    return value;
  throw archive.invalid('a list in its manifest.json has values that are not strings');
}
