import { existsSync, readFileSync } from 'node:fs';
import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { attachDocument, attachedPath } from '../../builder/history/attached.ts';
import { readBuildView } from '../../history/read-build.ts';
import { buildSpans } from '../../history/trace/build-spans.ts';
import { spansJson, type TraceSpan } from '../../history/trace/trace-span.ts';
import {
  type BuildRecord,
  DOCUMENT_TYPES,
  type DocumentKind,
  type DocumentsOfRecord,
} from './build-record.ts';
import { errorBlob } from './error-blob.ts';
import { statusBlob } from './status-blob.ts';

const KINDS = Object.keys(DOCUMENT_TYPES) as DocumentKind[];

/** What a client sent of its own trace, beside the documents that are attached to a log. */
const CLIENT_SPANS = 'client-spans';

type Described = Pick<BuildRecord, 'id' | 'ref' | 'header' | 'ended'>;

/**
 * # The documents that the history makes of logs
 *
 * A client finds in a record the digests of what its build told, of its trace and of its error. All
 * of it is in the log. The documents are made to be described, and made again when somebody reads
 * them; then they are kept with the log.
 */
export class RecordDocuments {
  readonly #directory: string;
  readonly #version: string;
  /** Builds of this server whose traces are not complete. */
  readonly #untraced = new Set<string>();

  /** `directory` has the logs. `version` is that of Kiln. */
  constructor(directory: string, version: string) {
    this.#directory = directory;
    this.#version = version;
  }

  /** There is no trace for the build of this ref until `completeTrace`. */
  holdTrace(ref: string): void {
    this.#untraced.add(ref);
  }

  /** `id` names the log. `clientSpans` are what the client sent, in the form of `spansJson`. */
  completeTrace(ref: string, id: string | undefined, clientSpans: string): void {
    this.#untraced.delete(ref);
    if (clientSpans === '' || id === undefined) return;
    attachDocument(this.#directory, id, CLIENT_SPANS, Buffer.from(clientSpans));
  }

  /** Describes the documents of a build that has ended. */
  describe(record: Described, events: readonly ProgressEvent[]): DocumentsOfRecord {
    return Object.fromEntries(
      KINDS.flatMap((kind) => {
        const bytes = this.#bytes(kind, record, events);
        if (!bytes) return [];
        const mediaType = DOCUMENT_TYPES[kind];
        return [[kind, { mediaType, digest: digestOf(bytes), size: bytes.byteLength }]];
      }),
    );
  }

  /** Returns the path of the document with this digest, or undefined when the record has none. */
  keep(
    record: BuildRecord,
    digest: Digest,
    events: () => readonly ProgressEvent[],
  ): string | undefined {
    const kind = KINDS.find((kind) => record.documents[kind]?.digest === digest);
    const bytes = kind && this.#bytes(kind, record, events());
    return bytes && attachDocument(this.#directory, record.id, hexOf(digest), bytes);
  }

  /** The trace of a build that has ended, without that of its client. */
  spans({ id, header }: Pick<BuildRecord, 'id' | 'header'>): readonly TraceSpan[] {
    const { traceparent } = header;
    return buildSpans(readBuildView(this.#directory, id), {
      traceparent: typeof traceparent === 'string' ? traceparent : undefined,
      version: this.#version,
    });
  }

  #bytes(
    kind: DocumentKind,
    record: Described,
    events: readonly ProgressEvent[],
  ): Uint8Array | undefined {
    switch (kind) {
      case 'logs':
        return statusBlob(events);
      case 'error':
        return errorBlob(record);
      case 'trace':
        if (this.#untraced.has(record.ref)) return undefined;
        return Buffer.from(spansJson(this.spans(record)) + this.#clientSpans(record));
    }
  }

  #clientSpans({ id }: Described): string {
    const path = attachedPath(this.#directory, id, CLIENT_SPANS);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
}
