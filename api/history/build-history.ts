import { existsSync } from 'node:fs';
import { type Digest, hexOf, isDigest } from '../../base/digest.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { attachedDocuments, attachedPath } from '../../builder/history/attached.ts';
import {
  isPinned,
  isRunning,
  lastWritten,
  logNames,
  pinLog,
  pruneLogs,
  readHeader,
  readLog,
  removeLog,
} from '../../builder/history/build-log.ts';
import type { KeptResult } from '../../builder/history/kept-result.ts';
import { pruneLargeLogs } from '../../builder/history/prune-large.ts';
import type { TraceSpan } from '../../history/trace/trace-span.ts';
import type { BuildRecord } from './build-record.ts';
import { RecordDocuments } from './record-documents.ts';

export type HistoryEvent =
  | { readonly kind: 'started' | 'complete'; readonly record: BuildRecord }
  | { readonly kind: 'deleted'; readonly ref: string };

/** A document of the history. */
export interface HistoryBlob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly created: number;
}

/**
 * # The history of builds
 *
 * Each build has a log in the store, of the command line or of a client, and the logs are the
 * history. The record of a build that has ended is cached, because its log does not change.
 */
export class BuildHistory {
  readonly #directory: string;
  readonly #documents: RecordDocuments;
  readonly #refs = new Map<string, string>();
  readonly #ended = new Map<string, BuildRecord>();
  readonly #listeners = new Set<(event: HistoryEvent) => void>();

  /** `directory` is where the logs are. `version` is that of Kiln. */
  constructor(directory: string, version: string) {
    this.#directory = directory;
    this.#documents = new RecordDocuments(directory, version);
  }

  /** The builds of the history, the newest first. Those that need not be kept are removed. */
  records(): BuildRecord[] {
    this.prune();
    return this.#logs()
      .reverse()
      .flatMap((id) => this.#read(id) ?? [])
      .filter(({ header }) => header['internal'] !== true);
  }

  /** The newest build with that ref, in a list; none when there is no such build. */
  recordsOf(ref: string): BuildRecord[] {
    const record = this.find(ref);
    return record && record.header['internal'] !== true ? [record] : [];
  }

  /** Removes the builds that need not be kept any more. */
  prune(): void {
    const removing = (id: string) => {
      const ref = this.#refOf(id);
      this.#forget(id);
      this.#tell({ kind: 'deleted', ref });
    };
    pruneLogs(this.#directory, removing);
    pruneLargeLogs(this.#directory, removing);
  }

  /** The newest build with that ref. Reads the first line of each log, and one whole log. */
  find(ref: string): BuildRecord | undefined {
    const id = this.#idOf(ref);
    return id === undefined ? undefined : this.#read(id);
  }

  /** The progress of a build. */
  events({ id }: BuildRecord): readonly ProgressEvent[] {
    return readLog(this.#directory, id).events;
  }

  /** The trace of a build that has ended, without that of its client. */
  spans(record: BuildRecord): readonly TraceSpan[] {
    return this.#documents.spans(record);
  }

  isPinned({ id }: BuildRecord): boolean {
    return isPinned(this.#directory, id);
  }

  /** Keeps a build however many follow, or no longer. */
  pin(record: BuildRecord, pinned: boolean): void {
    if (this.isPinned(record) === pinned) return;
    pinLog(this.#directory, record.id, pinned);
    if (record.ended) this.#tell({ kind: 'complete', record });
  }

  remove({ id, ref }: BuildRecord): void {
    this.#remove(id);
    this.#tell({ kind: 'deleted', ref });
  }

  /** Removes a build that is not for the history, such as one that only asks what is served. */
  forget(ref: string): void {
    const id = this.#idOf(ref);
    if (id !== undefined) this.#remove(id);
  }

  /** Notifies the listeners that a build of this server has begun or ended. */
  changed(ref: string, kind: 'started' | 'complete'): void {
    if (this.#listeners.size === 0) return;
    const record = this.find(ref);
    if (record) this.#tell({ kind, record });
  }

  /** The record of a build has no trace until `completeTrace`. */
  holdTrace(ref: string): void {
    this.#documents.holdTrace(ref);
  }

  /** `clientSpans` are those that its client sent, in the form of `spansJson`. */
  completeTrace(ref: string, clientSpans: string): void {
    const id = this.#idOf(ref);
    this.#documents.completeTrace(ref, id, clientSpans);
    if (id === undefined) return;
    this.#ended.delete(id);
    this.changed(ref, 'complete');
  }

  /** Returns the path of a document. Undefined when no record has it. */
  blob(digest: string): string | undefined {
    if (!isDigest(digest)) return undefined;
    for (const id of logNames(this.#directory)) {
      const path = attachedPath(this.#directory, id, hexOf(digest));
      if (existsSync(path)) return path;
    }
    for (const record of this.records()) {
      const path = this.#documents.keep(record, digest, () => this.events(record));
      if (path !== undefined) return path;
    }
    return undefined;
  }

  /** All documents of the records there are. */
  blobs(): HistoryBlob[] {
    const found = new Map<string, HistoryBlob>();
    for (const { id, documents, ended } of this.records()) {
      const created = Number(ended?.['ended'] ?? Date.now());
      for (const { digest, size } of Object.values(documents))
        found.set(digest, { digest, size, created });
      for (const { name, size } of attachedDocuments(this.#directory, id)) {
        const digest = `sha256:${name}`;
        if (isDigest(digest)) found.set(digest, { digest, size, created });
      }
    }
    return [...found.values()];
  }

  /** Calls `listener` with the events of builds, until the result is disposed. */
  listen(listener: (event: HistoryEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #tell(event: HistoryEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** The IDs of all logs, the oldest first. Drops what is cached of logs that are gone. */
  #logs(): string[] {
    const ids = logNames(this.#directory);
    const there = new Set(ids);
    for (const cached of [this.#refs, this.#ended])
      for (const id of cached.keys()) if (!there.has(id)) cached.delete(id);
    return ids;
  }

  /** Drops what is cached at once: a build that begins in the same millisecond may get the ID. */
  #remove(id: string): void {
    removeLog(this.#directory, id);
    this.#forget(id);
  }

  #forget(id: string): void {
    this.#refs.delete(id);
    this.#ended.delete(id);
  }

  #idOf(ref: string): string | undefined {
    return this.#logs().findLast((id) => this.#refOf(id) === ref);
  }

  #refOf(id: string): string {
    let ref = this.#refs.get(id);
    if (ref === undefined) this.#refs.set(id, (ref = refIn(readHeader(this.#directory, id), id)));
    return ref;
  }

  #read(id: string): BuildRecord | undefined {
    const known = this.#ended.get(id);
    if (known) return known;
    try {
      const { header, events, ended = this.#killed(id, header) } = readLog(this.#directory, id);
      const record: BuildRecord = {
        ref: refIn(header, id),
        id,
        header,
        ended,
        steps: stepsOf(events),
        warnings: events.filter(({ kind }) => kind === 'warning').length,
        documents: {},
        result: ended?.['result'] as KeptResult | undefined,
      };
      if (!ended) return record;
      const whole = { ...record, documents: this.#documents.describe(record, events) };
      this.#ended.set(id, whole);
      return whole;
    } catch {
      // Another process has removed the log.
      return undefined;
    }
  }

  /** The last line of a build whose process is gone. Undefined while it runs. */
  #killed(id: string, header: BuildRecord['header']): BuildRecord['ended'] {
    if (isRunning(this.#directory, id, header)) return undefined;
    return { ended: lastWritten(this.#directory, id), error: 'the build was killed' };
  }
}

/** A build that no client has named is named by its log. */
function refIn({ ref }: BuildRecord['header'], id: string): string {
  return typeof ref === 'string' && ref !== '' ? ref : id;
}

/** A step that failed has been completed, too, as BuildKit counts them. */
function stepsOf(events: readonly ProgressEvent[]): BuildRecord['steps'] {
  const steps = new Map<string, { completed: boolean; cached: boolean }>();
  for (const event of events)
    if (event.kind === 'vertex')
      steps.set(event.vertex, {
        completed: event.completed !== undefined,
        cached: event.cached === true,
      });
  const all = [...steps.values()];
  return {
    total: all.length,
    completed: all.filter(({ completed }) => completed).length,
    cached: all.filter(({ cached }) => cached).length,
  };
}
