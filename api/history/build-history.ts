import { errnoOf } from '../../base/errors.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import {
  isPinned,
  lastWritten,
  logNames,
  pinLog,
  processOfLog,
  readHeader,
  readLog,
  removeLog,
} from '../../builder/history/build-log.ts';

/** A build, as its log has it. */
export interface BuildRecord {
  /** The name that its client gave it, or else the ID of its log. */
  readonly ref: string;
  /** The ID of its log. */
  readonly id: string;
  readonly header: Readonly<Record<string, unknown>>;
  /** The last line. Undefined while the build runs. */
  readonly ended: Readonly<Record<string, unknown>> | undefined;
  readonly steps: { readonly total: number; readonly completed: number; readonly cached: number };
  readonly warnings: number;
}

export type HistoryEvent =
  | { readonly kind: 'started' | 'complete'; readonly record: BuildRecord }
  | { readonly kind: 'deleted'; readonly ref: string };

/**
 * # The history of builds
 *
 * Each build has a log in the store, of the command line or of a client, and the logs are the
 * history. The record of a build that has ended is cached, because its log does not change.
 */
export class BuildHistory {
  readonly #directory: string;
  readonly #refs = new Map<string, string>();
  readonly #ended = new Map<string, BuildRecord>();
  readonly #listeners = new Set<(event: HistoryEvent) => void>();

  /** `directory` is where the logs are. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** All builds, the newest first. */
  records(): BuildRecord[] {
    return this.#logs()
      .reverse()
      .flatMap((id) => this.#read(id) ?? []);
  }

  /** The newest build with that ref. Reads the first line of each log, and one whole log. */
  find(ref: string): BuildRecord | undefined {
    const id = this.#logs().findLast((log) => this.#refOf(log) === ref);
    return id === undefined ? undefined : this.#read(id);
  }

  /** The progress of a build. */
  events({ id }: BuildRecord): readonly ProgressEvent[] {
    return readLog(this.#directory, id).events;
  }

  isPinned({ id }: BuildRecord): boolean {
    return isPinned(this.#directory, id);
  }

  pin({ id }: BuildRecord, pinned: boolean): void {
    pinLog(this.#directory, id, pinned);
  }

  remove({ id, ref }: BuildRecord): void {
    this.#remove(id);
    this.#tell({ kind: 'deleted', ref });
  }

  /** Removes a build that is not for the history, such as one that only asks what is served. */
  forget(ref: string): void {
    const record = this.find(ref);
    if (record) this.#remove(record.id);
  }

  /** Notifies the listeners that a build of this server has begun or ended. */
  changed(ref: string, kind: 'started' | 'complete'): void {
    if (this.#listeners.size === 0) return;
    const record = this.find(ref);
    if (record) this.#tell({ kind, record });
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

  /** Drops what is cached at once: a build that begins in the same second may get the same ID. */
  #remove(id: string): void {
    removeLog(this.#directory, id);
    this.#refs.delete(id);
    this.#ended.delete(id);
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
      const { header, events, ended = this.#killed(id) } = readLog(this.#directory, id);
      const record = {
        ref: refIn(header, id),
        id,
        header,
        ended,
        steps: stepsOf(events),
        warnings: events.filter(({ kind }) => kind === 'warning').length,
      };
      if (ended) this.#ended.set(id, record);
      return record;
    } catch {
      // Another process has removed the log.
      return undefined;
    }
  }

  /** The last line of a build whose process is gone. Undefined while it runs. */
  #killed(id: string): BuildRecord['ended'] {
    try {
      process.kill(processOfLog(id), 0);
      return undefined;
    } catch (error) {
      if (errnoOf(error) === 'EPERM') return undefined;
      return { ended: lastWritten(this.#directory, id), error: 'the build was killed' };
    }
  }
}

/** A build that no client has named is named by its log. */
function refIn({ ref }: BuildRecord['header'], id: string): string {
  return typeof ref === 'string' && ref !== '' ? ref : id;
}

function stepsOf(events: readonly ProgressEvent[]): BuildRecord['steps'] {
  const steps = new Map<string, { completed: boolean; cached: boolean }>();
  for (const event of events)
    if (event.kind === 'vertex')
      steps.set(event.vertex, {
        completed: event.completed !== undefined && event.error === undefined,
        cached: event.cached === true,
      });
  const all = [...steps.values()];
  return {
    total: all.length,
    completed: all.filter(({ completed }) => completed).length,
    cached: all.filter(({ cached }) => cached).length,
  };
}
