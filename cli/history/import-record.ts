import { fromBinary } from '@bufbuild/protobuf';
import { DOCUMENT_TYPES } from '../../api/history/build-record.ts';
import { KILN_RECORD_TYPE, REAL_TYPE, RECORD_TYPE } from '../../api/history/bundle.ts';
import { StatusResponseSchema } from '../../api/proto/control.gen.ts';
import { isDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { redactData } from '../../base/redact.ts';
import { BuildLog, pinLog, removeLog } from '../../builder/history/build-log.ts';
import type { KeptAttestation } from '../../builder/history/kept-result.ts';
import { PREDICATE_TYPE } from '../../exporter/attest/statement.ts';
import { listBuilds } from '../../history/list-builds.ts';
import type { Layout } from '../../registry/layout.ts';
import { MAX_MANIFEST } from '../../registry/parse-document.ts';
import { ProgressReader } from '../../remote/progress-events.ts';

export interface ImportedRecord {
  readonly ref: string;
  /** False for a record that the store had. */
  readonly isNew: boolean;
}

type Document = Readonly<Record<string, unknown>>;

/** A record, its log or a document of it has at most so many bytes. */
const MOST = 1 << 30;
/** So many records are read from a file. */
const MOST_RECORDS = 1000;

/**
 * Adds the records of a layout to the logs of a store. Nothing in it is trusted: blobs are
 * verified, and every text is shown as any other of a build. Throws KILN_LAYOUT_INVALID.
 */
export function importLayout(layout: Layout, directory: string): ImportedRecord[] {
  const found = layout.index.manifests.flatMap((entry) => recordsBelow(layout, entry, 0));
  if (found.length === 0 || found.length > MOST_RECORDS)
    throw invalid(found.length === 0 ? 'it has no records of builds' : 'it has too many records');
  return found.map((record) => importRecord(layout, record, directory));
}

interface FoundRecord {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

function recordsBelow(layout: Layout, entry: Descriptor, depth: number): FoundRecord[] {
  const { manifests, config, layers } = documentAt(layout, entry);
  if (Array.isArray(manifests) && depth < 2)
    return manifests.filter(isDescriptor).flatMap((one) => recordsBelow(layout, one, depth + 1));
  if (!isDescriptor(config) || config.mediaType !== RECORD_TYPE || !Array.isArray(layers))
    return [];
  return [{ config, layers: layers.filter(isDescriptor) }];
}

function importRecord(
  layout: Layout,
  { config, layers }: FoundRecord,
  directory: string,
): ImportedRecord {
  const own = layers.find(({ mediaType }) => mediaType === KILN_RECORD_TYPE);
  const logs = layers.find(({ mediaType }) => mediaType === DOCUMENT_TYPES.logs);
  const written = own && layout.read(own, MOST);
  const told = documentAt(layout, config);
  const header = written ? headerIn(written) : headerOfRecord(told);
  const { ref, started } = header;
  if (typeof ref !== 'string' || ref === '' || !isMoment(started))
    throw invalid('a record in it does not say which build it is of');
  const isKnown = listBuilds(directory).some(
    (build) => build.ref === ref && build.started === started,
  );
  if (isKnown) return { ref, isNew: false };
  const { build: _, owner: _owner, ...rest } = header;
  // Nothing of this host writes it.
  using log = new BuildLog(directory, { ...rest, owner: undefined, imported: true });
  try {
    if (written) for (const lines of linesOf(written)) log.lines(lines);
    else {
      if (logs) writeEvents(log, layout.read(logs, MOST));
      log.end({ ...endOfRecord(told, layers) });
    }
    for (const { digest, mediaType } of layers)
      if (mediaType !== KILN_RECORD_TYPE && mediaType !== DOCUMENT_TYPES.logs)
        log.attach(digest, layout.read({ digest }, MOST));
    pinLog(directory, log.id, true);
  } catch (error) {
    removeLog(directory, log.id);
    throw error;
  }
  return { ref, isNew: true };
}

/** The first line of a record of Kiln. A build that no client has named keeps its ID as a name. */
function headerIn(bytes: Buffer): Document {
  const end = bytes.indexOf(10);
  try {
    const header = JSON.parse(bytes.toString('utf8', 0, end < 0 ? bytes.length : end)) as Document;
    return { ...header, ref: header['ref'] ?? header['build'] };
  } catch {
    throw invalid('the record of a build in it is damaged');
  }
}

/** The lines behind the first one, many at once, without the last line's end. */
function* linesOf(bytes: Buffer): Generator<string> {
  let from = bytes.indexOf(10) + 1;
  while (from > 0 && from < bytes.length) {
    const found = bytes.indexOf(10, Math.min(bytes.length, from + (1 << 20)));
    const to = found < 0 ? bytes.length : found;
    yield bytes.toString('utf8', from, to).trimEnd();
    from = to + 1;
  }
}

/** The first line for a record of BuildKit, in the JSON form of its Go structure. */
function headerOfRecord(record: Document): Document {
  const attributes = object(record['FrontendAttrs']);
  const named = (prefix: string) =>
    Object.entries(attributes)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => `${name.slice(prefix.length)}=${value}`);
  const { 'vcs:source': remote, 'vcs:revision': revision, platform } = attributes;
  const exporters = Array.isArray(record['Exporters']) ? record['Exporters'].map(object) : [];
  const names = exporters.map(({ Attrs }) => object(Attrs)['name']);
  return redactData({
    ref: record['Ref'],
    started: milliseconds(record['CreatedAt']),
    door: 'buildkit',
    context: attributes['context'] ?? attributes['vcs:localdir:context'],
    file: attributes['filename'],
    target: attributes['target'],
    tags: names.filter((name) => typeof name === 'string').flatMap((name) => name.split(',')),
    frontend: record['Frontend'],
    frontendAttrs: attributes,
    ...((remote !== undefined || revision !== undefined) && {
      git: { remote, commit: revision },
    }),
    request: {
      platforms: typeof platform === 'string' ? platform.split(',') : [],
      buildArgs: named('build-arg:'),
      labels: named('label:'),
      contexts: named('context:'),
      outputs: exporters.map(({ Type }) => `type=${Type}`),
    },
  });
}

/** Canceled, in the numbers of gRPC. */
const CANCELLED = 1;

function endOfRecord(record: Document, layers: readonly Descriptor[]): Document {
  const { message, code } = object(record['error']);
  const isCancelled = code === CANCELLED || String(message).includes('context canceled');
  const response = object(record['ExporterResponse']);
  const attestations = layers.flatMap((descriptor): KeptAttestation[] =>
    descriptor.annotations?.[PREDICATE_TYPE] === undefined
      ? []
      : [{ platform: undefined, descriptor }],
  );
  const images = layers.flatMap(({ annotations, ...descriptor }) => {
    const mediaType = annotations?.[REAL_TYPE];
    return mediaType === undefined ? [] : [{ ...descriptor, mediaType }];
  });
  return {
    ended: milliseconds(record['CompletedAt']),
    digest: response['containerimage.digest'],
    response,
    ...(message !== undefined && {
      error: String(message),
      code: isCancelled ? 'KILN_CANCELLED' : undefined,
    }),
    result: { attestations, images: Object.fromEntries(images.entries()) },
  };
}

/** Writes what a build told: messages, each after its length (32 bits, little endian). */
function writeEvents(log: BuildLog, bytes: Buffer): void {
  const reader = new ProgressReader();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    at += 4;
    if (at + length > bytes.length) throw invalid('the log of a build in it was cut');
    const message = fromBinary(StatusResponseSchema, bytes.subarray(at, at + length));
    for (const event of reader.read(message)) log.event(event);
    at += length;
  }
}

function documentAt(layout: Layout, { digest }: Descriptor): Document {
  const bytes = layout.read({ digest }, MAX_MANIFEST);
  try {
    return object(JSON.parse(bytes.toString()));
  } catch {
    throw invalid('a document in it is not JSON');
  }
}

function isDescriptor(value: unknown): value is Descriptor {
  const { mediaType, digest } = object(value);
  return typeof mediaType === 'string' && typeof digest === 'string' && isDigest(digest);
}

function milliseconds(time: unknown): number | undefined {
  const { seconds, nanos = 0 } = object(time);
  if (!Number.isFinite(Number(seconds))) return undefined;
  return Number(seconds) * 1000 + Math.floor(Number(nanos) / 1e6);
}

/** True for milliseconds since 1970, before the year 10000. */
function isMoment(time: unknown): boolean {
  return typeof time === 'number' && time >= 0 && time < 253_402_300_800_000;
}

function object(value: unknown): Document {
  return typeof value === 'object' && value !== null ? (value as Document) : {};
}

function invalid(why: string): KilnError {
  return new KilnError('KILN_LAYOUT_INVALID', `the file cannot be imported: ${why}`, {
    hint: "give a file of 'kiln history export' or 'docker buildx history export'",
  });
}
