import type { StatusEvent } from '../../base/progress.ts';
import { bytes } from '../../base/units.ts';
import { seconds } from './seconds.ts';

/** The rate is that of the last few seconds: of one or two of these spans, in milliseconds. */
const SPAN = 3000;
/** Before this many milliseconds a rate means nothing. */
const RATE_AFTER = 300;

interface Sample {
  readonly time: number;
  readonly current: number;
}

/** A status of a vertex, which may count bytes, and how fast they come. */
export class Transfer {
  #last: StatusEvent | undefined;
  /** The samples from which the rate is taken, older first. */
  #older: Sample | undefined;
  #newer: Sample | undefined;

  apply(event: StatusEvent): void {
    this.#last = event;
    const sample = { time: event.timestamp, current: event.current };
    this.#older ??= sample;
    this.#newer ??= sample;
    if (sample.time - this.#newer.time < SPAN) return;
    this.#older = this.#newer;
    this.#newer = sample;
  }

  get isRunning(): boolean {
    return this.#last !== undefined && this.#last.completed === undefined;
  }

  get name(): string {
    return this.#last?.name ?? '';
  }

  /** The line for plain output, as in buildx: `transferring context: 3MB / 3MB 0.3s done`. */
  line(now: number): string {
    return [this.name, this.numbers(now)[0], ...(this.isRunning ? [] : ['done'])]
      .filter((part) => part !== '')
      .join(' ');
  }

  /**
   * The numbers, such as `1.2MB / 3MB 0.3s`, and while it runs `1.2MB / 3MB 4MB/s 1s left 0.3s`.
   * The first has all that is known. The others are for less and less room.
   */
  numbers(now: number): readonly [string, ...string[]] {
    const status = this.#last;
    if (!status) return [''];
    const { current, total, started, completed } = status;
    const amount =
      total > 0 ? `${bytes(current)} / ${bytes(total)}` : current > 0 ? bytes(current) : '';
    const time = started === undefined ? '' : seconds((completed ?? now) - started);
    const rate = this.#rate(now);
    if (rate === 0) return [joined(amount, time), time];
    const speed = `${bytes(Math.round(rate))}/s`;
    const left = total > current ? `${duration((total - current) / rate)} left` : '';
    return [
      joined(amount, speed, left, time),
      joined(amount, left, time),
      joined(amount, time),
      time,
    ];
  }

  /** Bytes per second. 0 when it has ended or is not known yet. */
  #rate(now: number): number {
    if (!this.isRunning || !this.#older || !this.#last) return 0;
    const { time, current } = this.#older;
    const moved = this.#last.current - current;
    return now - time < RATE_AFTER || moved <= 0 ? 0 : (moved / (now - time)) * 1000;
  }
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' ');
}

/** Returns whole seconds as text: `9s`, `3m20s`, `2h5m`. */
function duration(count: number): string {
  const whole = Math.ceil(count);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${whole % 60}s`;
  return `${Math.floor(whole / 3600)}h${Math.floor((whole % 3600) / 60)}m`;
}
