/** The minimum speed of a transfer. */
export interface Floor {
  readonly bytesPerSecond: number;
  /** The time spent waiting over which the speed is measured, in milliseconds. */
  readonly window: number;
}

export const DEFAULT_FLOOR: Floor = { bytesPerSecond: 500, window: 30_000 };

/**
 * A single pause counts for at most this long. A longer pause is handled by the idle timeout, and
 * may end well.
 */
const MAX_PAUSE = 10_000;

/** The other side sends so slowly that the transfer would never end. */
export class SlowTransfer extends Error {
  constructor(bytes: number, waited: number) {
    super(`sends too slowly: ${bytes} bytes in ${Math.round(waited / 1000)} seconds`);
    this.name = 'SlowTransfer';
  }
}

/**
 * The other side has taken no bytes for a whole timeout, in the middle of a request. It may be
 * busy, so the request may be sent again.
 */
export class StalledUpload extends Error {
  constructor(bytes: number, waited: number) {
    super(`takes too slowly: ${bytes} bytes in ${Math.round(waited / 1000)} seconds`);
    this.name = 'StalledUpload';
  }
}

/**
 * Watches one transfer. Only the time spent waiting for bytes counts: when the reader is slow,
 * because it writes to a slow disk or to another server, the sender is not to blame. No timer is
 * needed: a sender that sends nothing at all meets the idle timeout.
 */
export class Pace {
  readonly #floor: Floor;
  #waited = 0;
  #bytes = 0;

  constructor(floor: Floor) {
    this.#floor = floor;
  }

  /** Throws SlowTransfer when the transfer is too slow. */
  received(bytes: number, waited: number): void {
    const { bytesPerSecond, window } = this.#floor;
    this.#waited += Math.min(waited, MAX_PAUSE, window / 3);
    this.#bytes += bytes;
    if (this.#waited < window) return;
    if (this.#bytes < (bytesPerSecond * window) / 1000)
      throw new SlowTransfer(this.#bytes, this.#waited);
    this.#waited = 0;
    this.#bytes = 0;
  }
}
