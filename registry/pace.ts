/** The least that a transfer must bring to go on. */
export interface Floor {
  readonly bytesPerSecond: number;
  /** Over how much time spent waiting it is judged, in milliseconds. */
  readonly window: number;
}

export const DEFAULT_FLOOR: Floor = { bytesPerSecond: 500, window: 30_000 };

/** A pause counts for no more than this: one that lasts longer is told by the timeout for silence, and may end well. */
const MAX_PAUSE = 10_000;

/** The other side sends, but so little that the transfer would never end. */
export class SlowTransfer extends Error {
  constructor(bytes: number, waited: number) {
    super(`sends too slowly: ${bytes} bytes in ${Math.round(waited / 1000)} seconds`);
    this.name = 'SlowTransfer';
  }
}

/**
 * Watches one transfer. Only the time that we wait for bytes counts: when we are slow to take them, because they go to a slow disk or to
 * another server, the sender is not to blame. Needs no timer: whoever sends nothing at all meets the timeout for silence.
 */
export class Pace {
  readonly #floor: Floor;
  #waited = 0;
  #bytes = 0;

  constructor(floor: Floor) {
    this.#floor = floor;
  }

  /** Throws SlowTransfer. */
  received(bytes: number, waited: number): void {
    const { bytesPerSecond, window } = this.#floor;
    this.#waited += Math.min(waited, MAX_PAUSE, window / 3);
    this.#bytes += bytes;
    if (this.#waited < window) return;
    if (this.#bytes < (bytesPerSecond * window) / 1000) throw new SlowTransfer(this.#bytes, this.#waited);
    this.#waited = 0;
    this.#bytes = 0;
  }
}
