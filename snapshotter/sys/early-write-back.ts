import { bindAsync } from './native.ts';

/** The bytes after which the kernel is told to begin. */
const STEP = 16 << 20;
const WRITE = 2;
const syncFileRange = bindAsync(
  'sync_file_range',
  'int sync_file_range(int, int64_t, int64_t, uint32_t)',
);

/**
 * Has the kernel write a large file to the disk while it is still being made. Otherwise it begins
 * half a minute later, or with the fsync at the end, which then waits for all of it. This is only a
 * hint (sync_file_range(2)): it makes nothing durable, and where it fails nothing is lost.
 */
export class EarlyWriteBack {
  readonly #fd: number;
  #begun = 0;
  #size = 0;
  #running: Promise<void> | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Counts bytes that were appended to the file. */
  wrote(bytes: number): void {
    this.#size += bytes;
    // The call waits where the disk's queue is full. Then the rest is told at once.
    if (this.#running || this.#size - this.#begun < STEP) return;
    const from = this.#begun;
    this.#begun = this.#size;
    this.#running = syncFileRange(this.#fd, from, this.#size - from, WRITE)
      .then(() => undefined)
      .catch(() => undefined)
      .finally(() => (this.#running = undefined));
  }

  /** Waits for a call that runs. Before the descriptor is closed. */
  async settled(): Promise<void> {
    await this.#running;
  }
}
