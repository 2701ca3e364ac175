import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf } from '../../base/digest.ts';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { attempt, osError, reading, writing } from '../../base/oserror.ts';
import type { LogEvent, ProgressEvent } from '../../base/progress.ts';
import { redactData } from '../../base/redact.ts';
import { isAlive, thisOwner } from '../../snapshotter/store/owner.ts';
import { attachDocument, removeAttached } from './attached.ts';
import { keepAgain, keepForNext, releaseKept } from './kept-again.ts';
import type { KeptResult } from './kept-result.ts';
import { LIMITS_FILE, logLimits, logsBeyond, USUAL_LIMITS } from './log-limits.ts';
import { StepCounts } from './step-counts.ts';

/** Lines are written to the file when they have this many characters together. */
const FLUSH_LENGTH = 64 * 1024;
/** Lines are in the file after so long, for whoever looks at a build that runs, or was killed. */
const FLUSH_MS = 200;
const SUFFIX = '.jsonl';
/** Marks the source of a warning whose text is that of the previous warning, and is left out. */
const SAME_TEXT = 'sameText';

/**
 * The full log of one build, a file below `logs/` of the store. Each event is a line of JSON, and
 * nothing is shortened. The first line says what was built, the last line how it ended. A build
 * that was killed has no last line.
 */
export class BuildLog implements Disposable {
  readonly id: string;
  readonly #directory: string;
  readonly #fd: number;
  readonly #counts = new StepCounts();
  #buffer: string[] = [];
  #size = 0;
  #lastText: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Begins a log and removes old ones. The ID begins with the moment when the build did: `started`
   * of the header. Throws KILN_FILE_UNWRITABLE when the log cannot be created.
   */
  constructor(directory: string, header: Readonly<Record<string, unknown>>) {
    pruneLogs(directory, undefined, 1);
    this.#directory = directory;
    const { started } = header;
    const moment = new Date(typeof started === 'number' ? started : Date.now()).toISOString();
    const begun = moment.replace(/[-:.Z]/g, '').replace('T', '-');
    [this.id, this.#fd] = openNew(directory, `${begun}-${process.pid}`);
    this.#write(JSON.stringify(redactData({ build: this.id, owner: thisOwner(), ...header })));
    // Others can see what runs.
    this.#flush();
  }

  /** True when the build has found every step made so far. */
  get isAllCached(): boolean {
    const { steps, cached } = this.#counts.told();
    return steps === cached;
  }

  event(event: ProgressEvent): void {
    this.#counts.event(event);
    this.#write(JSON.stringify(this.#document(event)));
  }

  /** Writes lines that an earlier log had. */
  lines(text: string): void {
    if (text !== '') this.#write(text);
  }

  /**
   * The JSON form of an event. Every warning carries the text of the whole Dockerfile. The text is
   * left out when the previous warning had the same.
   */
  #document(event: ProgressEvent): unknown {
    if (event.kind === 'log') return logDocument(event);
    if (event.kind !== 'warning' || !event.source) return event;
    const { text } = event.source;
    if (text !== this.#lastText) {
      this.#lastText = text;
      return event;
    }
    return { ...event, source: { ...event.source, text: '', [SAME_TEXT]: true } };
  }

  /** Keeps a document with the log, under its digest. Throws KILN_FILE_UNWRITABLE. */
  readonly attach = (digest: Digest, bytes: Uint8Array): void => {
    attachDocument(this.#directory, this.id, hexOf(digest), bytes);
  };

  /** Keeps the documents that `keepForNext` of an earlier log was told of. */
  keepAgain(key: string): KeptResult | undefined {
    return keepAgain(this.#directory, this.id, key);
  }

  /** What is attached may be kept with the log of the next build that has the same key. */
  keepForNext(key: string, result: KeptResult): void {
    keepForNext(this.#directory, this.id, key, result);
  }

  /** Writes the last line. */
  end(outcome: Readonly<Record<string, unknown>>): void {
    const counts = this.#counts.told();
    this.#write(JSON.stringify(redactData({ ended: Date.now(), counts, ...outcome })));
  }

  #write(line: string): void {
    this.#buffer.push(line);
    this.#size += line.length;
    if (this.#size > FLUSH_LENGTH) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS).unref();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#buffer.length === 0) return;
    const text = `${this.#buffer.join('\n')}\n`;
    this.#buffer = [];
    this.#size = 0;
    try {
      writeSync(this.#fd, text);
    } catch {
      // A log that cannot be written (a full disk) must not fail the build.
    }
  }

  [Symbol.dispose](): void {
    this.#flush();
    try {
      closeSync(this.#fd);
    } catch {
      // As for a write.
    }
  }
}

/**
 * The JSON form of what a step wrote. The data come last, so that a reader who looks for a line
 * knows what is in them without decoding: how many lines end in them, and how many bytes follow the
 * last one.
 */
function logDocument({ kind, vertex, stream, timestamp, data }: LogEvent): unknown {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  let lines = 0;
  let last = -1;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    lines++;
    last = at;
  }
  const tail = bytes.byteLength - last - 1;
  return { kind, vertex, stream, timestamp, lines, tail, data: bytes.toString('base64') };
}

/**
 * Creates the file of a log. `begun` is the millisecond in which the build began, with the process
 * ID. IDs that are sorted are in the order of time: process IDs begin anew, and are not of the same
 * length. Builds that one process begins in a millisecond get a number at the end.
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

/**
 * Removes the logs that are beyond the limits of count and age (log-limits.ts). `removing` is told
 * of each before. `more` logs are about to be added.
 */
export function pruneLogs(directory: string, removing?: (id: string) => void, more = 0): void {
  const files = readdirSync(directory);
  const limits = files.includes(LIMITS_FILE) ? logLimits(directory) : USUAL_LIMITS;
  const writtenAt = (id: string) => lastWritten(directory, id) ?? 0;
  for (const id of logsBeyond(limits, unpinned(files), writtenAt, more)) {
    removing?.(id);
    removeLog(directory, id);
  }
}

/** Those of the logs among `files` that may be removed, the oldest first. */
export function unpinned(files: readonly string[]): readonly string[] {
  const all = new Set(files);
  return logsAmong(files).filter((id) => !all.has(id + PIN));
}

const PIN = '.pin';

const pinOf = (directory: string, id: string) => join(directory, id + PIN);

/** True for a log that is kept however many builds follow. */
export function isPinned(directory: string, id: string): boolean {
  return existsSync(pinOf(directory, id));
}

/** Has a log kept however many builds follow, or no longer. */
export function pinLog(directory: string, id: string, pinned: boolean): void {
  const path = pinOf(directory, id);
  if (pinned) attempt(writing('the mark of a log', path), () => writeFileSync(path, ''));
  else rmSync(path, { force: true });
}

/** Removes a log with all that is kept with it. */
export function removeLog(directory: string, id: string): void {
  rmSync(join(directory, id + SUFFIX), { force: true });
  rmSync(pinOf(directory, id), { force: true });
  releaseKept(directory, id);
  removeAttached(directory, id);
}

/** A first line of more bytes is not read apart from its log. */
const MAX_HEADER = 1 << 20;

/** Reads the first line of a log alone. Returns an empty object for one that cannot be read. */
export function readHeader(directory: string, id: string): Readonly<Record<string, unknown>> {
  try {
    const fd = openSync(join(directory, id + SUFFIX), 'r');
    try {
      let text = Buffer.alloc(0);
      while (!text.includes(10) && text.byteLength < MAX_HEADER) {
        const chunk = Buffer.alloc(4096);
        const length = readSync(fd, chunk);
        if (length === 0) break;
        text = Buffer.concat([text, chunk.subarray(0, length)]);
      }
      return JSON.parse(text.toString().split('\n', 1)[0] ?? '');
    } finally {
      closeSync(fd);
    }
  } catch {
    return {};
  }
}

/** When a log was written last, in milliseconds since 1970. Undefined when there is none. */
export function lastWritten(directory: string, id: string): number | undefined {
  return statSync(join(directory, id + SUFFIX), { throwIfNoEntry: false })?.mtimeMs;
}

/** True when the process that makes the build of a log exists. `header` is the first line. */
export function isRunning(
  directory: string,
  id: string,
  { owner }: Readonly<Record<string, unknown>>,
): boolean {
  return typeof owner === 'string' && isAlive(owner, join(directory, id + SUFFIX));
}

/** The IDs of the builds whose logs are kept, oldest first. */
export function logNames(directory: string): string[] {
  return logsAmong(readdirSync(directory));
}

function logsAmong(files: readonly string[]): string[] {
  return files
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .sort();
}

/**
 * Finds the ID of a build: the first one that begins with `wanted`, or the last one when `wanted`
 * is undefined. Returns `wanted` itself when no ID begins with it. Throws KILN_LOG_NOT_FOUND when
 * there are no logs to choose the last one from.
 */
export function findLog(directory: string, wanted: string | undefined): string {
  const names = logNames(directory);
  const id =
    wanted === undefined ? names.at(-1) : (names.find((name) => name.startsWith(wanted)) ?? wanted);
  if (id === undefined)
    throw new KilnError('KILN_LOG_NOT_FOUND', 'there is no build log yet', {
      hint: "'kiln build' writes one",
    });
  return id;
}

/**
 * Reads the log of a build: its first line, its events, and its last line (undefined when the build
 * was killed). Throws KILN_LOG_NOT_FOUND or KILN_FILE_UNREADABLE.
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
    throw new KilnError('KILN_LOG_NOT_FOUND', `there is no log of a build ${JSON.stringify(id)}`, {
      hint: "'kiln logs --list' lists the builds that have one",
    });
  const path = join(directory, id + SUFFIX);
  // A log may be larger than a string can be.
  const bytes = attempt(reading('the log', path), () => readFileSync(path));
  const reader = new EventReader();
  const events: ProgressEvent[] = [];
  let header: Record<string, unknown> | undefined;
  let ended: Record<string, unknown> | undefined;
  for (let from = 0; from < bytes.length; ) {
    const found = bytes.indexOf(10, from);
    const to = found < 0 ? bytes.length : found;
    const document = parsed(bytes.toString('utf8', from, to));
    from = to + 1;
    if (!document) continue;
    header ??= document;
    if ('ended' in document) ended ??= document;
    const event = reader.event(document);
    if (event) events.push(event);
  }
  return { header: header ?? {}, events, ended };
}

/** Undefined for what is no document: the last line of a killed build may be incomplete. */
function parsed(line: string): Record<string, unknown> | undefined {
  try {
    return line === '' ? undefined : Object(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** Makes events of the lines of a log, which have to come in their order. */
export class EventReader {
  #lastText = '';

  /** Undefined for a line that is no event. */
  event(document: Readonly<Record<string, unknown>>): ProgressEvent | undefined {
    const { kind } = document;
    if (kind === undefined) return undefined;
    if (kind === 'log') {
      const { lines: _, tail: _tail, ...event } = document;
      const data = Buffer.from(String(document['data']), 'base64');
      return { ...event, data } as unknown as ProgressEvent;
    }
    const source = document['source'] as Record<string, unknown> | undefined;
    if (kind !== 'warning' || !source) return document as unknown as ProgressEvent;
    const { [SAME_TEXT]: same, ...place } = source;
    if (same !== true) this.#lastText = String(source['text']);
    const whole = { ...place, text: this.#lastText };
    return { ...document, source: whole } as unknown as ProgressEvent;
  }
}
