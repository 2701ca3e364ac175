import { KilnError } from '../base/errors.ts';
import { formatReference, parseReference } from '../base/reference.ts';
import type { Compression } from '../snapshotter/content.ts';
import { type Annotation, parseAnnotation } from './annotations.ts';

/** How the image is written: what `--output type=image|oci|docker` have in common. */
export interface ImageOptions {
  /** Full names (`docker.io/library/app:latest`), each once, in the order given. */
  readonly names: readonly string[];
  /** Undefined when the user did not say: gzip where bytes are needed, none where they are not. */
  readonly compression?: Compression | undefined;
  readonly level?: number | undefined;
  readonly forceCompression: boolean;
  /** OCI media types, else Docker's; the exporter's usual ones when undefined. */
  readonly ociTypes?: boolean | undefined;
  readonly annotations: readonly Annotation[];
  /** Write an index even for one platform. */
  readonly alwaysIndex: boolean;
  /** With SOURCE_DATE_EPOCH, no time in a layer built here is after it: what makes two builds the same bytes. True unless told. */
  readonly rewriteTimestamp: boolean;
}

/**
 * Where bytes go. `stdout` is the output of the caller, who lends it as a stream before an exporter writes to it. Other streams are
 * somebody else's: standard input of `docker load`, a connection. The path of a file is absolute.
 */
export type Destination =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'stdout' }
  | { readonly kind: 'stream'; readonly write: (bytes: Uint8Array) => Promise<void> };

/** Under which names `type=image` leaves what it made. */
export interface ImageNaming {
  /** In the local image store. */
  readonly store: boolean;
  /** Also, or pushed by digest only, under `NAME@sha256:…`. */
  readonly canonical: boolean;
  /** The registry gets no tag; the names have none. */
  readonly byDigest: boolean;
}

/** One `--output`, parsed. */
export type OutputSpec =
  | ({ readonly type: 'image'; readonly image: ImageOptions; readonly push: boolean } & ImageNaming)
  | { readonly type: 'oci'; readonly image: ImageOptions; readonly tar: true; readonly destination: Destination }
  | { readonly type: 'oci'; readonly image: ImageOptions; readonly tar: false; readonly directory: string }
  | { readonly type: 'docker'; readonly image: ImageOptions; readonly destination: Destination | undefined }
  | ({ readonly type: 'tar'; readonly destination: Destination } & TreeOptions)
  | ({ readonly type: 'local'; readonly directory: string; readonly platformSplit?: boolean | undefined } & TreeOptions);

/** What `local` and `tar` have in common. */
export interface TreeOptions {
  /** Before the names of the files that hold what is attested. */
  readonly attestationPrefix?: string | undefined;
}

/**
 * Parses the attributes of one `--output` (`type=oci,dest=out.tar,…` as a map). `-` as `dest` is standard output. `tags` are the
 * values of `-t`, which name the image unless `name=` does.
 * Throws KILN_OUTPUT_INVALID, which names the attribute, and KILN_REFERENCE_INVALID.
 */
export function parseOutput(attributes: ReadonlyMap<string, string>, tags: readonly string[] = []): OutputSpec {
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
      if (tar) return { type: 'oci', image, tar, destination: destinationOf(reader.required('dest', type)) };
      return { type: 'oci', image, tar, directory: directoryOf(reader.required('dest', type)) };
    }
    case 'docker': {
      const image = imageOptions(reader, tags);
      const path = reader.text('dest');
      return { type: 'docker', image, destination: path === undefined ? undefined : destinationOf(path) };
    }
    case 'tar':
      return { type, destination: destinationOf(reader.required('dest', type)), attestationPrefix: prefixOf(reader) };
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
        'the types are image, registry, oci, docker, tar and local',
      );
  }
}

function imageOptions(reader: Attributes, tags: readonly string[], byDigest = false): ImageOptions {
  const name = reader.text('name');
  const given = name === undefined || name === '' ? tags : name.split(',');
  const compression = compressionOf(reader.text('compression'));
  return {
    names: [...new Set(given.map((text) => (byDigest ? untagged(text.trim()) : formatReference(parseReference(text.trim())))))],
    compression,
    level: levelOf(reader.text('compression-level'), compression ?? 'gzip'),
    forceCompression: reader.flag('force-compression') ?? false,
    ociTypes: reader.flag('oci-mediatypes'),
    annotations: reader.annotations(),
    alwaysIndex: reader.flag('multi-platform') ?? false,
    rewriteTimestamp: reader.flag('rewrite-timestamp') ?? true,
  };
}

/** A name for a push by digest: with a tag it would promise what is not done. */
function untagged(text: string): string {
  const { tag: _, ...named } = parseReference(text);
  if (/:[^/]*$/.test(text)) {
    throw invalid(`a push by digest gives no tag, and ${JSON.stringify(text)} has one`, 'leave the tag out, or push-by-digest');
  }
  return formatReference(named);
}

function compressionOf(text: string | undefined): Compression | undefined {
  if (text === undefined || text === 'gzip' || text === 'zstd' || text === 'uncompressed') return text;
  if (text === 'estargz' || text === 'nydus')
    throw invalid(`compression=${text} is not supported`, 'use zstd for small layers, or gzip for what everybody reads');
  throw invalid(`unknown compression ${JSON.stringify(text)}`, 'the compressions are gzip, zstd and uncompressed');
}

function levelOf(text: string | undefined, compression: Compression): number | undefined {
  if (text === undefined) return undefined;
  const [least, most] = compression === 'zstd' ? [1, 22] : [0, 9];
  const level = Number(text);
  if (/^\d+$/.test(text) && level >= least && level <= most) return level;
  throw invalid(`compression-level ${JSON.stringify(text)} is none of ${compression}`, `it goes from ${least} to ${most}`);
}

/** Other names of standard output: it must not be opened anew, nor a file put in its place. */
const STDOUT = new Set(['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']);

export function destinationOf(path: string): Destination {
  return STDOUT.has(path) ? { kind: 'stdout' } : { kind: 'file', path };
}

function directoryOf(path: string): string {
  if (path === '-') throw invalid('a directory cannot be written to standard output', 'name a directory with dest=');
  return path;
}

/** A part of a file name: what is attested stands at the top of a tree. */
function prefixOf(reader: Attributes): string | undefined {
  const prefix = reader.text('attestation-prefix');
  if (prefix === undefined || /^[^/\0]{0,100}$/.test(prefix)) return prefix;
  throw invalid(
    `attestation-prefix ${JSON.stringify(prefix)} cannot begin a file name`,
    'leave slashes out: the files stand beside the tree',
  );
}

/** The attributes of one output; asks for each by name, so that what nobody asked for can be refused. */
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

  /** `true`, `false`, `1`, `0`; the name alone is true. */
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
      throw invalid(`unknown attribute ${JSON.stringify(unknown)}`, `it has no meaning for type=${this.#map.get('type')}`);
  }
}

function invalid(message: string, hint: string | undefined): KilnError {
  return new KilnError('KILN_OUTPUT_INVALID', message, { place: { kind: 'flag', flag: '--output' }, hint, exitCode: 2 });
}
