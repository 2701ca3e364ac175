import { KilnError } from '../base/errors.ts';
import { formatReference, parseReference } from '../base/reference.ts';
import type { Compression } from '../snapshotter/content.ts';
import { type Annotation, parseAnnotation } from './annotations.ts';

/** How the image is written: the options that `--output type=image|oci|docker` have in common. */
export interface ImageOptions {
  /** Full names (`docker.io/library/app:latest`), each once, in the order given. */
  readonly names: readonly string[];
  /**
   * Undefined when the user did not choose: gzip where bytes are needed, uncompressed where they
   * are not.
   */
  readonly compression?: Compression | undefined;
  readonly level?: number | undefined;
  readonly forceCompression: boolean;
  /** True for OCI media types, false for Docker's. When undefined, the exporter's default. */
  readonly ociTypes?: boolean | undefined;
  readonly annotations: readonly Annotation[];
  /** Write an index even for one platform. */
  readonly alwaysIndex: boolean;
  /**
   * With SOURCE_DATE_EPOCH, no time in a layer built here is later, so that two builds give the
   * same bytes. The default is true.
   */
  readonly rewriteTimestamp: boolean;
}

/**
 * The destination of the bytes. `stdout` is the output of the caller, who provides it as a stream
 * before an exporter writes to it. Other streams belong to another program, such as standard input
 * of `docker load` or a connection. The path of a file is absolute.
 */
export type Destination =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'stdout' }
  | { readonly kind: 'stream'; readonly write: (bytes: Uint8Array) => Promise<void> };

/** The names under which `type=image` leaves its result. */
export interface ImageNaming {
  /** Store it in the local image store. */
  readonly store: boolean;
  /** Use `NAME@sha256:…` as well, or only that for a push by digest. */
  readonly canonical: boolean;
  /** Write no tag to the registry. The names then have no tag. */
  readonly byDigest: boolean;
}

/** What `type=` may be; `registry` is an image that is pushed. */
export const EXPORT_TYPES = ['image', 'registry', 'oci', 'docker', 'tar', 'local'] as const;

/** One `--output`, parsed. */
export type OutputSpec =
  | ({ readonly type: 'image'; readonly image: ImageOptions; readonly push: boolean } & ImageNaming)
  | {
      readonly type: 'oci';
      readonly image: ImageOptions;
      readonly tar: true;
      readonly destination: Destination;
    }
  | {
      readonly type: 'oci';
      readonly image: ImageOptions;
      readonly tar: false;
      readonly directory: string;
    }
  | {
      readonly type: 'docker';
      readonly image: ImageOptions;
      readonly destination: Destination | undefined;
    }
  | ({ readonly type: 'tar'; readonly destination: Destination } & TreeOptions)
  | ({
      readonly type: 'local';
      readonly directory: string;
      readonly platformSplit?: boolean | undefined;
    } & TreeOptions);

/** The options that `local` and `tar` have in common. */
export interface TreeOptions {
  /** The prefix of the names of files with attestations. */
  readonly attestationPrefix?: string | undefined;
}

/**
 * Parses the attributes of one `--output` (`type=oci,dest=out.tar,…` as a map). `-` as `dest` is
 * standard output. `tags` are the values of `-t`, which name the image unless `name=` is given.
 *
 * Throws KILN_OUTPUT_INVALID, which names the attribute, and KILN_REFERENCE_INVALID.
 */
export function parseOutput(
  attributes: ReadonlyMap<string, string>,
  tags: readonly string[] = [],
): OutputSpec {
  const reader = new Attributes(attributes);
  const spec = specOf(reader, tags);
  reader.end();
  return spec;
}

function specOf(reader: Attributes, tags: readonly string[]): OutputSpec {
  const type = reader.text('type');
  switch (type) {
    case 'image':
    case 'registry': {
      const byDigest = reader.flag('push-by-digest') ?? false;
      const image = imageOptions(reader, tags, byDigest);
      for (const ignored of ['unpack', 'dangling-name-prefix']) reader.text(ignored);
      return {
        type: 'image',
        image,
        push: reader.flag('push') ?? type === 'registry',
        store: reader.flag('store') ?? type === 'image',
        canonical: reader.flag('name-canonical') ?? false,
        byDigest,
      };
    }
    case 'oci': {
      const image = imageOptions(reader, tags);
      const tar = reader.flag('tar') ?? true;
      if (tar)
        return {
          type: 'oci',
          image,
          tar,
          destination: destinationOf(reader.required('dest', type)),
        };
      return { type: 'oci', image, tar, directory: directoryOf(reader.required('dest', type)) };
    }
    case 'docker': {
      const image = imageOptions(reader, tags);
      const path = reader.text('dest');
      return {
        type: 'docker',
        image,
        destination: path === undefined ? undefined : destinationOf(path),
      };
    }
    case 'tar':
      return {
        type,
        destination: destinationOf(reader.required('dest', type)),
        attestationPrefix: prefixOf(reader),
      };
    case 'local':
      return {
        type,
        directory: directoryOf(reader.required('dest', type)),
        platformSplit: reader.flag('platform-split'),
        attestationPrefix: prefixOf(reader),
      };
    default:
      throw invalid(
        type === undefined ? 'type is missing' : `unknown type ${JSON.stringify(type)}`,
        `the types are ${EXPORT_TYPES.slice(0, -1).join(', ')} and ${EXPORT_TYPES.at(-1)}`,
      );
  }
}

function imageOptions(reader: Attributes, tags: readonly string[], byDigest = false): ImageOptions {
  const name = reader.text('name');
  const given = name === undefined || name === '' ? tags : name.split(',');
  const compression = compressionOf(reader.text('compression'));
  return {
    names: [
      ...new Set(
        given.map((text) =>
          byDigest ? untagged(text.trim()) : formatReference(parseReference(text.trim())),
        ),
      ),
    ],
    compression,
    level: levelOf(reader.text('compression-level'), compression ?? 'gzip'),
    forceCompression: reader.flag('force-compression') ?? false,
    ociTypes: reader.flag('oci-mediatypes'),
    annotations: reader.annotations(),
    alwaysIndex: reader.flag('multi-platform') ?? false,
    rewriteTimestamp: reader.flag('rewrite-timestamp') ?? true,
  };
}

/** A name for a push by digest. It must not have a tag, because no tag is written. */
function untagged(text: string): string {
  const { tag: _, ...named } = parseReference(text);
  if (/:[^/]*$/.test(text)) {
    throw invalid(
      `a push by digest writes no tag, but ${JSON.stringify(text)} has one`,
      'leave the tag out, or push-by-digest',
    );
  }
  return formatReference(named);
}

function compressionOf(text: string | undefined): Compression | undefined {
  if (text === undefined || text === 'gzip' || text === 'zstd' || text === 'uncompressed')
    return text;
  if (text === 'estargz' || text === 'nydus')
    throw invalid(
      `compression=${text} is not supported`,
      'use zstd for small layers, or gzip for layers that every tool reads',
    );
  throw invalid(
    `unknown compression ${JSON.stringify(text)}`,
    'the compressions are gzip, zstd and uncompressed',
  );
}

function levelOf(text: string | undefined, compression: Compression): number | undefined {
  if (text === undefined) return undefined;
  const [least, most] = compression === 'zstd' ? [1, 22] : [0, 9];
  const level = Number(text);
  if (/^\d+$/.test(text) && level >= least && level <= most) return level;
  throw invalid(
    `compression-level ${JSON.stringify(text)} is not valid for ${compression}`,
    `it goes from ${least} to ${most}`,
  );
}

/** Other names of standard output. They must not be opened again, nor replaced by a file. */
const STDOUT = new Set(['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']);

export function destinationOf(path: string): Destination {
  return STDOUT.has(path) ? { kind: 'stdout' } : { kind: 'file', path };
}

function directoryOf(path: string): string {
  if (path === '-')
    throw invalid(
      'a directory cannot be written to standard output',
      'name a directory with dest=',
    );
  return path;
}

/** The prefix is a part of a file name: attestations are written at the top of a tree. */
function prefixOf(reader: Attributes): string | undefined {
  const prefix = reader.text('attestation-prefix');
  if (prefix === undefined || /^[^/\0]{0,100}$/.test(prefix)) return prefix;
  throw invalid(
    `attestation-prefix ${JSON.stringify(prefix)} cannot begin a file name`,
    'leave slashes out: the files are written at the top of the tree',
  );
}

/**
 * The attributes of one output. Each is asked for by name, so that unused attributes can be
 * refused.
 */
class Attributes {
  readonly #map: ReadonlyMap<string, string>;
  readonly #asked = new Set<string>();

  constructor(map: ReadonlyMap<string, string>) {
    this.#map = map;
  }

  text(name: string): string | undefined {
    this.#asked.add(name);
    return this.#map.get(name);
  }

  required(name: string, type: string): string {
    const value = this.text(name);
    if (value) return value;
    throw invalid(`type=${type} needs ${name}`, `write type=${type},${name}=PATH`);
  }

  /** Parses `true`, `false`, `1` or `0`. The name alone means true. */
  flag(name: string): boolean | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (/^(true|1|t|)$/i.test(value)) return true;
    if (/^(false|0|f)$/i.test(value)) return false;
    throw invalid(`${name}=${value} is neither true nor false`, undefined);
  }

  annotations(): Annotation[] {
    return [...this.#map].flatMap(([name, value]) => {
      const annotation = parseAnnotation(name, value);
      if (annotation) this.#asked.add(name);
      return annotation ?? [];
    });
  }

  end(): void {
    const unknown = [...this.#map.keys()].find((name) => !this.#asked.has(name));
    if (unknown !== undefined)
      throw invalid(
        `unknown attribute ${JSON.stringify(unknown)}`,
        `it has no meaning for type=${this.#map.get('type')}`,
      );
  }
}

function invalid(message: string, hint: string | undefined): KilnError {
  return new KilnError('KILN_OUTPUT_INVALID', message, {
    place: { kind: 'flag', flag: '--output' },
    hint,
    exitCode: 2,
  });
}
