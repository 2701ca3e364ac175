/** The part of a time line that is seen. Moments are in milliseconds since 1970. */
export interface TimeWindow {
  readonly from: number;
  readonly to: number;
}

/** Zoom ends here, in milliseconds. */
const LEAST = 5;

/** Makes a window longer or shorter by `factor`, so that `around` stays where it is. */
export function zoomed(
  window: TimeWindow,
  whole: TimeWindow,
  factor: number,
  around = (window.from + window.to) / 2,
): TimeWindow {
  const length = window.to - window.from;
  const wanted = Math.min(whole.to - whole.from, Math.max(LEAST, length * factor));
  const part = (around - window.from) / length;
  return insideOf({ from: around - wanted * part, to: around + wanted * (1 - part) }, whole);
}

/** Moves a window by a part of its own length. */
export function panned(window: TimeWindow, whole: TimeWindow, part: number): TimeWindow {
  const by = (window.to - window.from) * part;
  return insideOf({ from: window.from + by, to: window.to + by }, whole);
}

/** Moves a window so that it is inside another one. */
export function insideOf({ from, to }: TimeWindow, whole: TimeWindow): TimeWindow {
  const length = Math.min(to - from, whole.to - whole.from);
  const start = Math.min(Math.max(from, whole.from), whole.to - length);
  return { from: start, to: start + length };
}

/** Round moments to write along a window, about `count` of them, from the beginning on. */
export function ticksOf({ from, to }: TimeWindow, began: number, count: number): number[] {
  const least = (to - from) / Math.max(1, count);
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5];
  const step = steps.find((size) => size >= least) ?? Math.ceil(least / 6e5) * 6e5;
  const first = Math.ceil((from - began) / step) * step;
  const ticks: number[] = [];
  for (let at = first; began + at <= to; at += step) ticks.push(began + at);
  return ticks;
}
