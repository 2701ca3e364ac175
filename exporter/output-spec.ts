import { KilnError } from '../base/errors.ts';
import { formatReference, parseReference, type Reference } from '../base/reference.ts';
import type { Compression } from '../snapshotter/content.ts';
import { type Annotation, parseAnnotation } from './annotations.ts';
import { FlagAttributes } from './flag-attributes.ts';

/** How the image is written: the options that `--output type=image|oci|docker` have in common. */
export interface ImageOptions {
  /** Each once, in the order given. */
  readonly names: readonly Reference[];
  /**
   * Undefined when the user did not choose: gzip where bytes are needed, uncompressed where they
   * are not.
   */
  readonly compression?: Compression | undefined;
  readonly level?: number | undefined;
  readonly forceCompression: boolean;
  /** True for OCI media types, false for Docker's. When undefined, the exporter's default. */
  readonly ociTypes?: boolean | undefined;
  /** Attestations are OCI artifacts, which name their image as their subject: unless false. */
  readonly ociArtifact?: boolean | undefined;
  readonly annotations: readonly Annotation[];
  /** Write an index even for one platform. */
  readonly alwaysIndex: boolean;
  /**
   * With SOURCE_DATE_EPOCH, no time in a layer built here is later, so that two builds give the
   * same bytes. The default is true.
   */
  readonly rewriteTimestamp: boolean;
  /** Layers whose times were limited say so, as with `rewrite-timestamp=true` of BuildKit. */
  readonly marksRewritten: boolean;
}

/** A file at an absolute path. */
interface FileDestination {
  readonly kind: 'file';
  readonly path: string;
}

/** Where the bytes of an output go, as a request says it: a file, or a place the caller lends. */
export type OutputPlace = FileDestination | { readonly kind: 'lent'; readonly name: string };

/**
 * Where an exporter writes bytes. A stream belongs to the caller or to another program, such as
 * standard input of `docker load` or a connection.
 */
export type Destination =
  | FileDestination
  | {
      readonly kind: 'stream';
      readonly write: (bytes: Uint8Array) => Promise<void>;
      /** Is told what `ExportResponse` says of the image, before its bytes are written. */
      readonly about?: (image: Readonly<Record<string, unknown>>) => void;
    };

/** The name under which the caller lends standard output, or what it has in its place. */
export const STANDARD_OUTPUT = 'stdout';

/** The names under which `type=image` leaves its result. */
export interface ImageNaming {
  /** Store it in the local image store. */
  readonly store: boolean;
  /** Use `NAME@sha256:…` as well, or only that for a push by digest. */
  readonly canonical: boolean;
  /** Write no tag to the registry. The names then have no tag. */
  readonly byDigest: boolean;
  /** The registry may use plain http, and any certificate. */
  readonly insecure?: boolean | undefined;
}

/**
 * One `--output`, parsed. Exporters get it with the `Destination` in the place of what the request
 * names.
 */
export type OutputSpec<Place = OutputPlace> = OutputOfType<Place> & {
  /**
   * SOURCE_DATE_EPOCH of this output, in seconds, in the place of that of the build; null for none.
   */
  readonly epoch?: number | null;
};

type OutputOfType<Place> =
  | ({ readonly type: 'image'; readonly image: ImageOptions; readonly push: boolean } & ImageNaming)
  | {
      readonly type: 'oci';
      readonly image: ImageOptions;
      readonly tar: true;
      readonly destination: Place;
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
      readonly destination: Place | undefined;
    }
  | ({ readonly type: 'tar'; readonly destination: Place } & TreeOptions)
  | ({
      readonly type: 'local';
      readonly directory: string;
      readonly platformSplit?: boolean | undefined;
      /** What the directory has and the result lacks is removed. */
      readonly deletes?: boolean;
    } & TreeOptions);

/** The options that `local` and `tar` have in common. */
export interface TreeOptions {
  /** The prefix of the names of files with attestations. */
  readonly attestationPrefix?: string | undefined;
}

/** What `type=` may be. `registry` is an image that is pushed. */
export type ExportType = OutputSpec['type'] | 'registry';

interface ExportTraits {
  /** True for an image, which has annotations. */
  readonly isImage: boolean;
  /** What `dest` names. An `optional file` may be left out, and the bytes go elsewhere. */
  readonly dest: 'file' | 'optional file' | 'directory' | 'none';
}

interface ExportReader extends ExportTraits {
  /** Reads the other attributes. */
  readonly read: (reader: FlagAttributes, tags: readonly string[], type: ExportType) => OutputSpec;
}

const EXPORTS: { readonly [type in ExportType]: ExportReader } = {
  image: { isImage: true, dest: 'none', read: imageOutput },
  registry: { isImage: true, dest: 'none', read: imageOutput },
  oci: {
    isImage: true,
    dest: 'file',
    read: (reader, tags) => {
      const image = imageOptions(reader, tags);
      const dest = reader.required('dest', 'PATH');
      return (reader.flag('tar') ?? true)
        ? { type: 'oci', image, tar: true, destination: outputPlace(dest) }
        : { type: 'oci', image, tar: false, directory: directoryOf(reader, dest) };
    },
  },
  docker: {
    isImage: true,
    dest: 'optional file',
    read: (reader, tags) => {
      const path = reader.text('dest') || undefined;
      return {
        type: 'docker',
        image: imageOptions(reader, tags),
        destination: path === undefined ? undefined : outputPlace(path),
      };
    },
  },
  tar: {
    isImage: false,
    dest: 'file',
    read: (reader) => ({
      type: 'tar',
      destination: outputPlace(reader.required('dest', 'PATH')),
      attestationPrefix: prefixOf(reader),
    }),
  },
  local: {
    isImage: false,
    dest: 'directory',
    read: (reader) => ({
      type: 'local',
      directory: directoryOf(reader, reader.required('dest', 'PATH')),
      platformSplit: reader.flag('platform-split'),
      attestationPrefix: prefixOf(reader),
      ...(reader.choice('mode', ['copy', 'delete']) === 'delete' && { deletes: true }),
    }),
  },
};

/** In the order of help texts. */
export const EXPORT_TYPES = Object.keys(EXPORTS) as readonly ExportType[];

/** Undefined for a type that there is not. */
export function exportTraits(type: string): ExportTraits | undefined {
  return Object.hasOwn(EXPORTS, type) ? EXPORTS[type as ExportType] : undefined;
}

/**
 * Parses the attributes of one `--output` (`type=oci,dest=out.tar,…` as a map). `-` as `dest` is
 * standard output. `tags` are the values of `-t`, which name the image unless `name=` is given.
 * `ignore` is told the unknown attributes; without it, one is an error.
 *
 * Throws KILN_OUTPUT_INVALID, which names the attribute, and KILN_REFERENCE_INVALID.
 */
export function parseOutput(
  attributes: ReadonlyMap<string, string>,
  tags: readonly string[] = [],
  ignore?: (unknown: readonly string[]) => void,
): OutputSpec {
  const reader = new FlagAttributes('--output', 'KILN_OUTPUT_INVALID', attributes);
  const type = reader.type(EXPORT_TYPES);
  const epoch = epochOf(reader);
  const read = EXPORTS[type].read(reader, tags, type);
  const spec = epoch === undefined ? read : { ...read, epoch };
  if (ignore) ignore(reader.unasked);
  else reader.end();
  return spec;
}

function epochOf(reader: FlagAttributes): OutputSpec['epoch'] {
  const text = reader.text('source-date-epoch');
  if (text === undefined) return undefined;
  if (text === '') return null;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw reader.fail(
    `source-date-epoch ${JSON.stringify(text)} is not a time`,
    'write seconds since 1970, or nothing for the times as they are',
  );
}

function imageOutput(
  reader: FlagAttributes,
  tags: readonly string[],
  type: ExportType,
): OutputSpec {
  const byDigest = reader.flag('push-by-digest') ?? false;
  const insecure = reader.flag('registry.insecure') ?? false;
  // An image in the store is unpacked in any case.
  reader.flag('unpack');
  return {
    type: 'image',
    image: imageOptions(reader, tags, byDigest),
    push: reader.flag('push') ?? type === 'registry',
    store: reader.flag('store') ?? type === 'image',
    canonical: reader.flag('name-canonical') ?? false,
    byDigest,
    ...(insecure && { insecure }),
  };
}

function imageOptions(
  reader: FlagAttributes,
  tags: readonly string[],
  byDigest = false,
): ImageOptions {
  const name = reader.text('name');
  const given = name === undefined || name === '' ? tags : name.split(',');
  const parse = byDigest ? untagged : nameOf;
  const names = given.map((text) => parse(reader, text.trim()));
  return {
    names: [...new Map(names.map((one) => [formatReference(one), one])).values()],
    ...reader.compression(),
    forceCompression: reader.flag('force-compression') ?? false,
    ociTypes: ociTypesIn(reader),
    ...artifact(reader),
    annotations: reader.matching(parseAnnotation),
    alwaysIndex: reader.flag('multi-platform') ?? false,
    ...rewriting(reader),
  };
}

/** BuildKit takes the other switches by their name alone, but not this one. */
function ociTypesIn(reader: FlagAttributes): boolean | undefined {
  if (reader.text('oci-mediatypes') !== '') return reader.flag('oci-mediatypes');
  throw reader.fail('oci-mediatypes is neither true nor false', 'write oci-mediatypes=true');
}

function artifact(reader: FlagAttributes): Pick<ImageOptions, 'ociArtifact'> {
  const asked = reader.flag('oci-artifact');
  return asked === undefined ? {} : { ociArtifact: asked };
}

function rewriting(
  reader: FlagAttributes,
): Pick<ImageOptions, 'rewriteTimestamp' | 'marksRewritten'> {
  const asked = reader.flag('rewrite-timestamp');
  return { rewriteTimestamp: asked ?? true, marksRewritten: asked ?? false };
}

function nameOf(reader: FlagAttributes, text: string): Reference {
  try {
    return parseReference(text);
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw reader.fail(error.message, error.hint, error.code);
  }
}

/** A name for a push by digest. It must not have a tag, because no tag is written. */
function untagged(reader: FlagAttributes, text: string): Reference {
  const { tag: _, ...named } = nameOf(reader, text);
  if (/:[^/]*$/.test(text)) {
    throw reader.fail(
      `a push by digest writes no tag, but ${JSON.stringify(text)} has one`,
      'leave the tag out, or push-by-digest',
    );
  }
  return named;
}

/** Other names of standard output. They must not be opened again, nor replaced by a file. */
const STDOUT = new Set(['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1']);

export function isStandardOutput(path: string): boolean {
  return STDOUT.has(path);
}

function outputPlace(path: string): OutputPlace {
  return isStandardOutput(path) ? { kind: 'lent', name: STANDARD_OUTPUT } : { kind: 'file', path };
}

function directoryOf(reader: FlagAttributes, path: string): string {
  if (path === '-')
    throw reader.fail(
      'a directory cannot be written to standard output',
      'name a directory with dest=',
    );
  return path;
}

/** The prefix is a part of a file name: attestations are written at the top of a tree. */
function prefixOf(reader: FlagAttributes): string | undefined {
  const prefix = reader.text('attestation-prefix');
  if (prefix === undefined || /^[^/\0]{0,100}$/.test(prefix)) return prefix;
  throw reader.fail(
    `attestation-prefix ${JSON.stringify(prefix)} cannot begin a file name`,
    'leave slashes out: the files are written at the top of the tree',
  );
}
