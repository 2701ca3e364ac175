import type { BuildView } from '../../history/build-view.ts';
import { svg } from './dom.ts';
import { insideOf, type TimeWindow } from './time-window.ts';

const WIDTH = 600;
const HEIGHT = 36;

/**
 * How many steps ran at each moment of a build, with the critical path below it and the part that
 * is seen in a frame. `choose` is called with the part that is dragged over.
 */
export function overviewOf(
  view: BuildView,
  whole: TimeWindow,
  window: TimeWindow | undefined,
  choose: (window: TimeWindow) => void,
): SVGElement {
  const scale = WIDTH / (whole.to - whole.from);
  const x = (time: number) => Math.min(WIDTH, Math.max(0, (time - whole.from) * scale));
  const counts = new Array<number>(WIDTH + 1).fill(0);
  for (const { started, ended = whole.to, state } of view.steps) {
    if (started === undefined || state === 'cached') continue;
    const [from, to] = [Math.floor(x(started)), Math.ceil(x(ended))];
    counts[from]!++;
    counts[Math.min(WIDTH, Math.max(from + 1, to))]!--;
  }
  let running = 0;
  const heights = counts.map((change) => (running += change));
  const most = Math.max(1, ...heights);
  const line = heights.map((count, at) => `L${at} ${HEIGHT - 4 - (count / most) * (HEIGHT - 8)}`);
  const critical = view.criticalPath.flatMap((index) => {
    const step = view.steps[index];
    if (step?.started === undefined) return [];
    const from = x(step.started);
    const width = Math.max(1, x(step.ended ?? whole.to) - from);
    return [svg('rect', { class: 'ov-critical', x: from, y: HEIGHT - 3, width, height: 3 })];
  });
  const frame = window && { from: x(window.from), to: x(window.to) };
  const element = svg(
    'svg',
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': `How many steps ran at a time: at most ${Math.max(0, ...heights)}`,
    },
    svg('path', {
      class: 'ov-area',
      d: `M0 ${HEIGHT - 4}${line.join('')}L${WIDTH} ${HEIGHT - 4}Z`,
    }),
    critical,
    frame &&
      svg('rect', {
        class: 'ov-frame',
        x: frame.from,
        y: 0.5,
        width: Math.max(2, frame.to - frame.from),
        height: HEIGHT - 1,
      }),
  );
  element.addEventListener('pointerdown', (event) => {
    const { left, width } = element.getBoundingClientRect();
    const time = (at: number) =>
      whole.from + ((at - left) / Math.max(1, width)) * (whole.to - whole.from);
    const from = time(event.clientX);
    addEventListener(
      'pointerup',
      ({ clientX }) => {
        const to = time(clientX);
        const length = window ? window.to - window.from : (whole.to - whole.from) / 5;
        const isClick = Math.abs(clientX - event.clientX) < 5;
        const chosen = isClick
          ? { from: from - length / 2, to: from + length / 2 }
          : { from: Math.min(from, to), to: Math.max(from, to) };
        choose(insideOf(chosen, whole));
      },
      { once: true },
    );
  });
  return element;
}
