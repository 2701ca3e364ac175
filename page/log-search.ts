import type { BuildView } from '../history/build-view.ts';
import type { PageSource } from './page-source.ts';

/** How many lines are found at most. Nobody looks at more. */
const FOUND_LIMIT = 2000;
/** How many lines are looked at between two breaths of the process. */
const CHUNK = 5000;

export interface FoundLines {
  /** The lines with the text: indexes of steps, and of lines in their logs. */
  readonly found: readonly (readonly [step: number, line: number])[];
  /** True when there are more. */
  readonly isCut: boolean;
}

/**
 * Finds the lines of a build, or of one step, that contain a text, whatever its case. Steps that
 * failed come first. Ends early when `signal` is aborted.
 */
export async function searchLog(
  source: Pick<PageSource, 'lines' | 'search'>,
  view: BuildView,
  text: string,
  only: number | undefined,
  signal?: AbortSignal,
): Promise<FoundLines> {
  const wanted = text.toLowerCase();
  const found: [number, number][] = [];
  if (wanted === '') return { found, isCut: false };
  for (const step of only === undefined ? stepsWithLog(view) : [only]) {
    const { lines: total } = view.steps[step]?.log ?? { lines: 0 };
    if (source.search) {
      const most = FOUND_LIMIT + 1 - found.length;
      const lines = signal?.aborted ? [] : await source.search(view.id, step, text, most);
      found.push(...lines.map((line): [number, number] => [step, line]));
      if (found.length > FOUND_LIMIT) return { found: found.slice(0, FOUND_LIMIT), isCut: true };
      await breath();
      continue;
    }
    for (let from = 0; from < total && !signal?.aborted; ) {
      const lines = await source.lines(view.id, { step, from, count: CHUNK });
      if (lines.length === 0) break;
      for (const [index, line] of lines.entries()) {
        if (!line.text.toLowerCase().includes(wanted)) continue;
        if (found.length >= FOUND_LIMIT) return { found, isCut: true };
        found.push([step, from + index]);
      }
      from += lines.length;
      await breath();
    }
  }
  return { found, isCut: false };
}

/** The indexes of the steps that wrote something: failed ones first, then in order. */
export function stepsWithLog({ steps }: Pick<BuildView, 'steps'>): number[] {
  const all = steps.flatMap(({ log }, index) => (log.lines > 0 ? [index] : []));
  const hasFailed = (index: number) => steps[index]?.state === 'failed';
  return [...all.filter(hasFailed), ...all.filter((index) => !hasFailed(index))];
}

/** Gives others their turn. */
function breath(): Promise<void> {
  return new Promise((done) => setTimeout(done));
}
