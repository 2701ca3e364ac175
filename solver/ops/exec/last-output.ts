const KEPT_BYTES = 16 * 1024;
const SHOWN_LINES = 20;

/** The end of a step's output, for the error if it fails: at most 20 lines and 16 KiB. */
export class LastOutput {
  #chunks: Buffer[] = [];
  #size = 0;

  push(data: Uint8Array): void {
    this.#chunks.push(Buffer.from(data));
    this.#size += data.byteLength;
    while (this.#chunks.length > 1 && this.#size - this.#chunks[0]!.byteLength >= KEPT_BYTES) {
      this.#size -= this.#chunks.shift()!.byteLength;
    }
  }

  lines(): string[] {
    const text = Buffer.concat(this.#chunks)
      .subarray(-KEPT_BYTES)
      .toString('utf8')
      .replace(/\n$/, '');
    return text === '' ? [] : text.split('\n').slice(-SHOWN_LINES);
  }
}
