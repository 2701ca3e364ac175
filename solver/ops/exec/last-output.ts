const KEPT_BYTES = 16 * 1024;
const SHOWN_LINES = 20;

const LINE_FEED = 10;

/** The end of a step's output, for the error if it fails: at most 20 lines and 16 KiB. */
export class LastOutput {
  #chunks: Buffer[] = [];
  #size = 0;
  #lineFeeds = 0;
  #endsLine = true;

  push(data: Uint8Array): void {
    for (let at = -1; (at = data.indexOf(LINE_FEED, at + 1)) >= 0; ) this.#lineFeeds++;
    if (data.byteLength > 0) this.#endsLine = data.at(-1) === LINE_FEED;
    this.#chunks.push(Buffer.from(data));
    this.#size += data.byteLength;
    while (this.#chunks.length > 1 && this.#size - this.#chunks[0]!.byteLength >= KEPT_BYTES) {
      this.#size -= this.#chunks.shift()!.byteLength;
    }
  }

  /** The last lines. A first one says so when there were more. */
  lines(): string[] {
    const text = Buffer.concat(this.#chunks)
      .subarray(-KEPT_BYTES)
      .toString('utf8')
      .replace(/\n$/, '');
    if (text === '') return [];
    const shown = text.split('\n').slice(-SHOWN_LINES);
    const all = this.#lineFeeds + (this.#endsLine ? 0 : 1);
    if (all <= shown.length) return shown;
    return [`(the last ${shown.length} of ${all} lines of output)`, ...shown];
  }
}
