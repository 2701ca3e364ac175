/**
 * How much larger than by libdeflate's level 6 a layer may become. That level is at most 0.5 %
 * larger than `gzip -6` (2.3 % smaller to 0.5 % larger on five trees of sources, programs and
 * random words), and a layer may be 2 % larger.
 */
const EXCESS = 1.015;
/** The bytes that are tried, from the middle of a piece: two windows of deflate. */
const SAMPLE = 64 << 10;
/** A shorter piece is not worth trying: its level is the last one's. */
const WORTH_TRYING = 512 << 10;
/** Each second piece is tried. That takes 5 % of the time of compressing them. */
const EVERY = 2;
/**
 * Levels of libdeflate, quick ones first. On a tree of headers, manuals and Python they take 0.34,
 * 0.62, 0.8 and 1 of the last one's time, and give 1.107, 1.034, 1.012 and 1 of its bytes (2-core
 * VM, November 2026). The last one is the yardstick.
 */
const LEVELS = [1, 4, 5, 6] as const;
const YARDSTICK = 6;
/** For what is too little to be tried. */
const UNTRIED = 5;

/**
 * Chooses the level of each piece of a layer: the quickest with which the layer is not noticeably
 * larger than by a thorough one. Quick levels lose 10 % on sources and next to nothing on what is
 * packed already, on random names or on many programs. What one piece saves, another may spend.
 * The choice depends on the bytes alone, never on time or on the number of processors.
 */
export class GzipEffort {
  readonly #size: (sample: Uint8Array, level: number) => number;
  #level: number = UNTRIED;
  /** The bytes of the samples so far, by level 6 and by the chosen levels. */
  #yardstick = 0;
  #chosen = 0;

  /** `size` compresses a sample with a level, and returns the number of bytes. */
  constructor(size: (sample: Uint8Array, level: number) => number) {
    this.#size = size;
  }

  /** The level of piece number `index`. To be asked for each piece, in order. */
  levelOf(piece: Uint8Array, index: number): number {
    if (index % EVERY === 0 && piece.byteLength >= WORTH_TRYING) this.#try(piece);
    return this.#level;
  }

  #try(piece: Uint8Array): void {
    const middle = (piece.byteLength - SAMPLE) >> 1;
    const sample = piece.subarray(middle, middle + SAMPLE);
    const best = this.#size(sample, YARDSTICK);
    this.#yardstick += best;
    const sizeBy = (level: number) => (level === YARDSTICK ? best : this.#size(sample, level));
    let size = best;
    for (const level of LEVELS) {
      size = sizeBy(level);
      this.#level = level;
      if (this.#chosen + size <= this.#yardstick * EXCESS) break;
    }
    this.#chosen += size;
  }
}
