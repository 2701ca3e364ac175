/** A line of a log with more bytes is told as several. */
export const LONGEST_LINE = 256 << 10;
/** Between two places from which a log can be read are at least so many bytes of it. */
const SPACING = 64 << 10;

/** A place in the record from which the log of a step can be read: no line is unfinished there. */
export interface LogPlace {
  /** Where in the file. */
  readonly offset: number;
  /** How many lines have ended before it. */
  readonly lines: number;
}

/** What the record says of a piece of output without decoding it. */
export interface LogPiece {
  readonly stream: 1 | 2;
  /** Bytes. */
  readonly size: number;
  /** How many lines end in it. */
  readonly lines: number;
  /** How many bytes follow the last end of a line. All of them when none ends. */
  readonly tail: number;
}

/**
 * # Where the lines of a step's log are
 *
 * Holds numbers alone, so that a log of hundreds of megabytes takes little memory. Lines are
 * counted in the order in which they end, whichever stream they are of.
 */
export class StepLog {
  bytes = 0;
  #ended = 0;
  /** The bytes of the unfinished line of each stream. */
  readonly #open: [number, number] = [0, 0];
  readonly #places: LogPlace[] = [];
  #placed = Number.NEGATIVE_INFINITY;

  /** The lines so far, with those that have not ended. */
  get lines(): number {
    return this.#ended + this.#open.filter((size) => size > 0).length;
  }

  /** `offset` is that of the piece in the file. */
  add({ stream, size, lines, tail }: LogPiece, offset: number, decode: () => Buffer): void {
    const [one, other] = this.#open;
    if (one === 0 && other === 0 && this.bytes - this.#placed >= SPACING) {
      this.#places.push({ offset, lines: this.#ended });
      this.#placed = this.bytes;
    }
    this.bytes += size;
    const before = this.#open[stream - 1]!;
    if (before + size <= LONGEST_LINE) {
      this.#ended += lines;
      this.#open[stream - 1] = lines > 0 ? tail : before + size;
      return;
    }
    const counted = countLines(before, decode());
    this.#ended += counted.ended;
    this.#open[stream - 1] = counted.open;
  }

  /** The last place from which this line can be read. Undefined for an empty log. */
  placeBefore(line: number): LogPlace | undefined {
    let low = 0;
    let high = this.#places.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#places[middle]!.lines <= line) low = middle;
      else high = middle - 1;
    }
    return this.#places[low];
  }
}

/** Counts the lines that end, as `LineCutter` cuts them. */
function countLines(before: number, data: Buffer): { ended: number; open: number } {
  const cutter = new LineCutter(before);
  let ended = 0;
  cutter.push(data, () => {
    ended++;
  });
  return { ended, open: cutter.size };
}

/** Cuts the output of one stream into lines. A line that is too long becomes several. */
export class LineCutter {
  #parts: Buffer[] = [];
  size: number;

  /** `skipped` is the number of bytes of the unfinished line that are not given. */
  constructor(skipped = 0) {
    this.size = skipped;
  }

  push(data: Buffer, onLine: (line: Buffer) => void): void {
    let start = 0;
    while (start < data.byteLength) {
      const end = data.indexOf(10, start);
      const stop = end < 0 ? data.byteLength : end;
      const room = LONGEST_LINE - this.size;
      if (stop - start > room) {
        this.#add(data.subarray(start, start + room));
        onLine(this.#take());
        start += room;
        continue;
      }
      this.#add(data.subarray(start, stop));
      if (end < 0) return;
      onLine(this.#take());
      start = end + 1;
    }
  }

  /** What has come of the line that has not ended. */
  rest(): Buffer | undefined {
    return this.size === 0 ? undefined : this.#take();
  }

  #add(part: Buffer): void {
    if (part.byteLength === 0) return;
    this.#parts.push(part);
    this.size += part.byteLength;
  }

  #take(): Buffer {
    const line = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.size = 0;
    return line;
  }
}
