import { gzipSync } from 'node:zlib';
import type { BuildView, StepView } from '../history/build-view.ts';
import type { CacheReport } from '../history/cache-report.ts';
import type { LastRun } from '../history/last-run.ts';
import { type ExportedImage, exportedImages } from './exported-image.ts';
import { type PageParts, wholeDocument } from './page-document.ts';
import { type BuildEntry, entryOf, type PageSource } from './page-source.ts';
import { type ShownLine, shownLine } from './shown-line.ts';

/** What a page that is one file has in it. */
export interface ExportedPage {
  readonly builds: readonly BuildEntry[];
  readonly views: readonly BuildView[];
  /** The lines of each step of each build, by ID and index. */
  readonly lines: Readonly<Record<string, Readonly<Record<number, readonly ShownLine[]>>>>;
  readonly images: Readonly<Record<string, readonly ExportedImage[]>>;
  readonly cache?: CacheReport;
  /** When cached steps ran last, by ID and index. */
  readonly ran: Readonly<Record<string, Readonly<Record<number, LastRun>>>>;
}

/** How many lines of a step are in the file: the first ones, and the last ones. */
const HEAD = 200;
const TAIL = 300;
/** How many lines of steps that failed are in the file, at their beginning and at their end. */
const FAILED_TAIL = 3000;
/** A line is in the file up to this many characters. */
const LINE_LIMIT = 1000;

/** Returns the page with these builds as one HTML file. It needs nothing else to be seen. */
export async function exportPage(
  source: PageSource,
  ids: readonly string[],
  parts: PageParts,
): Promise<string> {
  const views: BuildView[] = [];
  const lines: Record<string, Record<number, ShownLine[]>> = {};
  const images: Record<string, readonly ExportedImage[]> = {};
  const ran: Record<string, Record<number, LastRun>> = {};
  for (const id of ids) {
    const view = await source.build(id);
    if (!view) continue;
    const own: Record<number, ShownLine[]> = {};
    for (const [index, step] of view.steps.entries())
      if (step.log.lines > 0) own[index] = await someLines(source, id, index, step);
    lines[id] = own;
    views.push({
      ...view,
      steps: view.steps.map((step, index) => ({
        ...step,
        log: { ...step.log, lines: own[index]?.length ?? 0 },
      })),
    });
    ran[id] = Object.fromEntries((await source.lastRuns?.(id)) ?? []);
    images[id] = await exportedImages(source, id);
  }
  const cache = await source.cache?.();
  const builds = views.map(entryOf);
  const page: ExportedPage = { builds, views, lines, images, ran, ...(cache && { cache }) };
  return wholeDocument(parts, gzipSync(JSON.stringify(page), { level: 9 }));
}

async function someLines(
  source: PageSource,
  id: string,
  step: number,
  { log: { lines: total }, state }: StepView,
): Promise<ShownLine[]> {
  const tail = state === 'failed' ? FAILED_TAIL : TAIL;
  const part = async (from: number, count: number) => {
    const found: ShownLine[] = [];
    // A source may give fewer at a time than it is asked for.
    while (found.length < count) {
      const range = { step, from: from + found.length, count: count - found.length };
      const more = await source.lines(id, range);
      if (more.length === 0) break;
      for (const line of more)
        found.push({ ...shownLine(line, LINE_LIMIT), at: from + found.length + 1 });
    }
    return found;
  };
  if (total <= HEAD + tail) return await part(0, total);
  const [head, end] = [await part(0, HEAD), await part(total - tail, tail)];
  const left = total - HEAD - tail;
  const text = `… ${left} lines are not in this file …`;
  const mark = { step, time: head.at(-1)?.time ?? 0, stream: 1 as const, text };
  return [...head, mark, ...end];
}
