import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { attempt, osError, reading, writing } from '../../base/oserror.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { redactData } from '../../base/redact.ts';

/** Logs of this many builds are kept. */
const KEPT = 100;
const FLUSH_BYTES = 64 * 1024;
const SUFFIX = '.jsonl';
/** Stands in the source of a warning whose text is that of the warning before it. */
const SAME_TEXT = 'sameText';

/**
 * The full log of one build: each event as a line of JSON, nothing clipped, under `logs/` of the
 * store. The first line says what was built, the last how it ended; without a last line the build
 * was killed.
 */
export class BuildLog implements Disposable {
  readonly id: string;
  readonly #fd: number;
  #buffer: string[] = [];
  #size = 0;
  #lastText: string | undefined;

  constructor(directory: string, header: Readonly<Record<string, unknown>>, now = new Date()) {
    prune(directory);
    const begun = `${now.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15)}-${process.pid}`;
    [this.id, this.#fd] = openNew(directory, begun);
    this.#write(JSON.stringify(redactData({ build: this.id, ...header })));
  }

  event(event: ProgressEvent): void {
    this.#write(JSON.stringify(this.#document(event)));
  }

  /** A warning has the whole Dockerfile with it, which is written with the first one. */
  #document(event: ProgressEvent): unknown {
    if (event.kind === 'log') return { ...event, data: Buffer.from(event.data).toString('base64') };
    if (event.kind !== 'warning' || !event.source) return event;
    const { text } = event.source;
    if (text !== this.#lastText) {
      this.#lastText = text;
      return event;
    }
    return { ...event, source: { ...event.source, text: '', [SAME_TEXT]: true } };
  }

  /** The last line. */
  end(outcome: Readonly<Record<string, unknown>>): void {
    this.#write(JSON.stringify(redactData({ ended: Date.now(), ...outcome })));
  }

  #write(line: string): void {
    this.#buffer.push(line);
    this.#size += line.length;
    if (this.#size > FLUSH_BYTES) this.#flush();
  }

  #flush(): void {
    if (this.#buffer.length === 0) return;
    const text = `${this.#buffer.join('\n')}\n`;
    this.#buffer = [];
    this.#size = 0;
    try {
      writeSync(this.#fd, text);
    } catch {
      // A log that cannot be written (a full disk) is no reason to fail a build.
    }
  }

  [Symbol.dispose](): void {
    this.#flush();
    closeSync(this.#fd);
  }
}

/**
 * The log of a build that began in this second. Several builds of one process may have: they get a
 * number more.
 */
function openNew(directory: string, begun: string): [id: string, fd: number] {
  for (let count = 1; ; count++) {
    const id = count === 1 ? begun : `${begun}-${count}`;
    const path = join(directory, id + SUFFIX);
    try {
      return [id, openSync(path, 'ax', 0o600)];
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw osError(error, writing('the log of the build', path));
    }
  }
}

function prune(directory: string): void {
  const names = logNames(directory);
  for (const name of names.slice(0, Math.max(0, names.length - KEPT + 1)))
    rmSync(join(directory, name + SUFFIX), { force: true });
}

/** The builds whose logs are kept, oldest first. */
export function logNames(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .sort();
}

/**
 * The ID of the build that `wanted` is the beginning of; the last one's without it. Throws
 * KILN_LOG_NOT_FOUND when there is none.
 */
export function findLog(directory: string, wanted: string | undefined): string {
  const names = logNames(directory);
  const id =
    wanted === undefined ? names.at(-1) : (names.find((name) => name.startsWith(wanted)) ?? wanted);
  if (id === undefined)
    throw new KilnError('KILN_LOG_NOT_FOUND', 'there is no log of a build yet', {
      hint: "'kiln build' makes one",
    });
  return id;
}

/**
 * A kept log: its first line, its events, and how it ended (undefined when the build was killed).
 */
export function readLog(
  directory: string,
  id: string,
): {
  header: Record<string, unknown>;
  events: ProgressEvent[];
  ended: Record<string, unknown> | undefined;
} {
  if (!logNames(directory).includes(id))
    throw new KilnError('KILN_LOG_NOT_FOUND', `no log of a build ${JSON.stringify(id)}`, {
      hint: "'kiln logs --list' lists them",
    });
  const path = join(directory, id + SUFFIX);
  const lines = attempt(reading('the log', path), () => readFileSync(path, 'utf8'))
    .split('\n')
    .filter(Boolean);
  const documents: Record<string, unknown>[] = [];
  for (const line of lines) {
    try {
      documents.push(JSON.parse(line));
    } catch {
      // The last line of a killed build may be cut.
    }
  }
  let lastText = '';
  const events = documents
    .filter((document) => 'kind' in document)
    .map((document): unknown => {
      if (document['kind'] === 'log')
        return { ...document, data: Buffer.from(String(document['data']), 'base64') };
      const source =
        document['kind'] === 'warning'
          ? (document['source'] as Record<string, unknown> | undefined)
          : undefined;
      if (!source) return document;
      const { [SAME_TEXT]: same, ...place } = source;
      if (same === true) return { ...document, source: { ...place, text: lastText } };
      lastText = String(source['text']);
      return document;
    }) as ProgressEvent[];
  return {
    header: documents[0] ?? {},
    events,
    ended: documents.find((document) => 'ended' in document),
  };
}
