import { closeSync, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Digest, isDigest } from '../base/digest.ts';
import { errnoOf, KilnError } from '../base/errors.ts';
import { osError, reading } from '../base/oserror.ts';
import type { ProgressEvent } from '../base/progress.ts';
import { EventReader, isRunning } from '../builder/history/build-log.ts';
import type { BuildView, LogLine } from './build-view.ts';
import { readLines } from './record-lines.ts';
import { LineCutter, type LogPiece } from './step-log.ts';
import { ViewState } from './view-state.ts';

/** Lines that are asked for at once have together at most so many bytes. */
const MOST_BYTES = 8 << 20;

/** The view of a build. Throws KILN_LOG_NOT_FOUND or KILN_FILE_UNREADABLE. */
export function readBuildView(directory: string, id: string): BuildView {
  using build = new OpenRecord(directory, id);
  return build.view();
}

/**
 * # A build whose record is open
 *
 * Reads the record of a build once, and later only what was added to it. What steps wrote stays in
 * the file: the lines of a step are found by where they are (`StepLog`). It is also good for a
 * build that runs.
 */
export class OpenRecord implements Disposable {
  readonly id: string;
  readonly #directory: string;
  readonly #fd: number;
  readonly #state: ViewState;
  #read = 0;

  /** `directory` is that of the logs. Throws KILN_LOG_NOT_FOUND or KILN_FILE_UNREADABLE. */
  constructor(directory: string, id: string) {
    this.#directory = directory;
    this.id = id;
    this.#state = new ViewState(id);
    this.#fd = openRecord(directory, id);
    this.refresh();
  }

  /** The last line of the record. Empty while the build runs. */
  get end(): Readonly<Record<string, unknown>> {
    return this.#state.end;
  }

  /** Reads what was added. Returns true when there was something. */
  refresh(): boolean {
    const before = this.#read;
    this.#read = readLines(this.#fd, before, (line, offset) => {
      this.#line(line, offset);
      return true;
    });
    return this.#read > before;
  }

  /** What is known so far. */
  view(now = Date.now()): BuildView {
    const { mtimeMs, size } = fstatSync(this.#fd);
    const isOpen = !this.#state.hasEnded && isRunning(this.#directory, this.id, this.#state.header);
    // It may have written its last line between both looks.
    if (!this.#state.hasEnded && !isOpen && size > this.#read) this.refresh();
    return this.#state.view({ isRunning: isOpen, written: Math.round(mtimeMs) }, now);
  }

  /**
   * The lines of a step's log from number `from` (the first is 0), at most `count` and not more
   * than 8 MB of them. `step` is its index in the view. Those of a step that runs may end with one
   * that has not ended yet. Empty when there are none.
   */
  lines(step: number, from: number, count: number): LogLine[] {
    const found: LogLine[] = [];
    let bytes = 0;
    this.#each(step, from, (line) => {
      found.push(line);
      bytes += line.text.length;
      return found.length < count && bytes < MOST_BYTES;
    });
    return found.slice(0, count);
  }

  /**
   * The numbers of the lines of a step that have `text` in them, in any case of letters, from
   * number `from` on; at most `count`.
   */
  search(step: number, text: string, from: number, count: number): number[] {
    const wanted = text.toLowerCase();
    const found: number[] = [];
    this.#each(step, from, (line, number) => {
      if (line.text.toLowerCase().includes(wanted)) found.push(number);
      return found.length < count;
    });
    return found;
  }

  #each(step: number, from: number, onLine: (line: LogLine, number: number) => boolean): void {
    const wanted = this.#state.steps().filter(({ name }) => name !== '')[step];
    const place = wanted?.log.placeBefore(from);
    if (!wanted || !place) return;
    const cutters = [new LineCutter(), new LineCutter()] as const;
    const times: [number, number] = [0, 0];
    let number = place.lines;
    let isOver = false;
    const tell = (line: Buffer, stream: 1 | 2, time: number) => {
      if (isOver) return;
      if (number >= from) {
        const text = line.toString();
        const ended = text.endsWith('\r') ? text.slice(0, -1) : text;
        isOver = !onLine({ step, time, stream, text: ended }, number);
      }
      number++;
    };
    readLines(this.#fd, place.offset, (line, offset) => {
      if (offset >= this.#read) return false;
      const piece = pieceOf(line);
      if (piece?.vertex !== wanted.vertex) return true;
      const { stream, timestamp } = piece;
      const cutter = cutters[stream - 1]!;
      if (cutter.size === 0) times[stream - 1] = timestamp;
      cutter.push(piece.decode(), (text) => {
        tell(text, stream, times[stream - 1]!);
        times[stream - 1] = timestamp;
      });
      return !isOver;
    });
    for (const stream of [1, 2] as const) {
      const rest = cutters[stream - 1]!.rest();
      if (rest) tell(rest, stream, times[stream - 1]!);
    }
  }

  #line(line: Buffer, offset: number): void {
    try {
      const piece = pieceOf(line);
      if (piece) this.#state.step(piece.vertex).log.add(piece, offset, piece.decode);
      else this.#state.add(documentOf(line), offset === 0);
    } catch {
      this.#state.damaged();
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/**
 * Calls `tell` with each event of a record, in order, and those of a build that runs as they come.
 * The promise settles when the build has ended, or `signal` is aborted. Lines that are damaged are
 * left out. Throws as `OpenRecord` does.
 */
export async function followEvents(
  directory: string,
  id: string,
  tell: (event: ProgressEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const fd = openRecord(directory, id);
  try {
    const reader = new EventReader();
    let header: Readonly<Record<string, unknown>> = {};
    let isOver = false;
    for (let read = 0; ; ) {
      // Asked first: what is written after this is read the next time.
      const runs = isRunning(directory, id, header);
      read = readLines(fd, read, (line, offset) => {
        try {
          const document = documentOf(line);
          if (offset === 0) header = document;
          if ('ended' in document) isOver = true;
          const event = reader.event(document);
          if (event) tell(event);
        } catch {
          // A view of the build says that its record is damaged.
        }
        return true;
      });
      if (isOver || signal.aborted || (read > 0 && !runs && !isRunning(directory, id, header)))
        return;
      await setTimeout(FOLLOW_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    closeSync(fd);
  }
}

/** How often the record of a build that runs is looked at. */
const FOLLOW_MS = 100;

function openRecord(directory: string, id: string): number {
  const path = join(directory, `${id}.jsonl`);
  try {
    if (/[/\0]/.test(id)) throw notFound(id);
    return openSync(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw notFound(id);
    throw osError(error, reading('the record of the build', path));
  }
}

function notFound(id: string): KilnError {
  return new KilnError(
    'KILN_LOG_NOT_FOUND',
    `there is no record of a build ${JSON.stringify(id)}`,
    {
      hint: "'kiln history ls' lists the builds that have one",
    },
  );
}

interface Piece extends LogPiece {
  readonly vertex: Digest;
  readonly timestamp: number;
  readonly decode: () => Buffer;
}

const LOG = Buffer.from('{"kind":"log",');
/** What stands before the data, in records that tell the lines of a piece (BuildLog). */
const BEFORE_DATA = new RegExp(
  '^\\{"kind":"log","vertex":"(sha256:[0-9a-f]{64})","stream":([12]),' +
    '"timestamp":(\\d+),"lines":(\\d+),"tail":(\\d+),"data":"',
);
const LONGEST_BEFORE = 200;

/** The output that a line of the record has. Undefined for other lines. Throws for damaged ones. */
function pieceOf(line: Buffer): Piece | undefined {
  if (!line.subarray(0, LOG.length).equals(LOG)) return undefined;
  const match = BEFORE_DATA.exec(line.toString('latin1', 0, LONGEST_BEFORE));
  if (!match) return oldPiece(line);
  const [before, vertex, stream, timestamp, lines, tail] = match;
  const end = line.length - 2;
  if (line[end] !== 34 || line[end + 1] !== 125) throw new SyntaxError('a line was cut');
  const start = before.length;
  const padding = line[end - 1] !== 61 ? 0 : line[end - 2] === 61 ? 2 : 1;
  return {
    vertex: vertex as Digest,
    stream: stream === '1' ? 1 : 2,
    timestamp: Number(timestamp),
    size: Math.floor(((end - start) * 3) / 4) - padding,
    lines: Number(lines),
    tail: Number(tail),
    decode: () => Buffer.from(line.toString('latin1', start, end), 'base64'),
  };
}

/** A piece of a record of before, which does not tell how many lines it has. */
function oldPiece(line: Buffer): Piece {
  const { vertex, stream, timestamp, data } = documentOf(line);
  if (typeof vertex !== 'string' || !isDigest(vertex)) throw new SyntaxError('no vertex');
  const bytes = Buffer.from(String(data), 'base64');
  let lines = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
  return {
    vertex,
    stream: stream === 2 ? 2 : 1,
    timestamp: Number(timestamp),
    size: bytes.byteLength,
    lines,
    tail: bytes.byteLength - bytes.lastIndexOf(10) - 1,
    decode: () => bytes,
  };
}

function documentOf(line: Buffer): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(line.toString());
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SyntaxError('no object');
  return value as Readonly<Record<string, unknown>>;
}
