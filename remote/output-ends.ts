import type { ProgressEvent } from '../base/progress.ts';

/** So much of the output of each vertex is kept, for the message when it fails. */
const KEPT_BYTES = 16 << 10;
const KEPT_LINES = 20;
/** Of so many vertices, those that told something last. */
const KEPT_VERTICES = 200;

/** Keeps the end of what each vertex writes, because the error of a server does not contain it. */
export class OutputEnds {
  readonly #ends = new Map<string, Buffer>();

  #failed: string | undefined;

  event(event: ProgressEvent): void {
    if (event.kind === 'vertex' && event.error !== undefined && !event.cancelled)
      this.#failed = event.vertex;
    if (event.kind !== 'log') return;
    const { vertex, data } = event;
    const before = this.#ends.get(vertex) ?? Buffer.alloc(0);
    this.#ends.delete(vertex);
    this.#ends.set(vertex, Buffer.from(Buffer.concat([before, data]).subarray(-KEPT_BYTES)));
    const [oldest] = this.#ends.keys();
    if (this.#ends.size > KEPT_VERTICES && oldest !== undefined) this.#ends.delete(oldest);
  }

  /** The end of what `vertex` has written, or else of what failed. */
  readonly of = (vertex: string | undefined): readonly string[] => {
    const text =
      this.#ends
        .get(vertex ?? this.#failed ?? '')
        ?.toString()
        .trimEnd() ?? '';
    return text === '' ? [] : text.split('\n').slice(-KEPT_LINES);
  };
}
