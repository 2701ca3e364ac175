import type { ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { BuildView, StepView } from '../history/build-view.ts';
import { directoryQuery, treeQuery } from './image-queries.ts';
import { searchLog } from './log-search.ts';
import type { LogRange, PageSource } from './page-source.ts';
import { type ShownLine, shownLine } from './shown-line.ts';

/** How many lines one answer may have. */
const COUNT_LIMIT = 5000;
/** The least time between two messages about a build that runs, in milliseconds. */
const PACE_MS = 400;

/** Answers a request below `/api/` with JSON, with text, or with events. */
export async function answerPageRequest(
  source: PageSource,
  { pathname, searchParams }: URL,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const gone = goneSignal(response, signal);
  const [kind, id = '', part, image, what] = pathname.split('/').slice(2).map(decode);
  if (kind === 'builds' && id === '') return json(response, await source.builds());
  if (kind === 'cache') return json(response, (await source.cache?.()) ?? null);
  if (kind !== 'builds') return missing(response);
  const view = await source.build(id);
  if (!view) return missing(response);
  if (part === undefined) return json(response, view);
  const step = number(searchParams.get('step'), view.steps.length - 1);
  if (part === 'lines') {
    const from = number(searchParams.get('from'), Number.MAX_SAFE_INTEGER);
    const count = number(searchParams.get('count'), COUNT_LIMIT);
    return json(response, step < 0 ? [] : await shownLines(source, id, { step, from, count }));
  }
  if (part === 'search') {
    const wanted = searchParams.get('for') ?? '';
    const only = searchParams.has('step') ? step : undefined;
    return json(response, await searchLog(source, view, wanted, only, gone));
  }
  if (part === 'ran') return json(response, (await source.lastRuns?.(id))?.get(step) ?? null);
  if (part === 'log.txt') return await sendLog(source, view, step, response, gone);
  if (part === 'events') return await sendEvents(source, view, response, gone);
  if (part === 'compare') {
    const other = searchParams.get('with') ?? '';
    return json(response, (await source.compare?.(other, id)) ?? null);
  }
  if (part === 'images') {
    if (image === undefined) return json(response, (await source.images?.(id)) ?? []);
    const index = number(image, Number.MAX_SAFE_INTEGER);
    if (what === 'directory' && source.directory)
      return json(response, await source.directory(id, index, directoryQuery(searchParams)));
    if (what === 'treemap' && source.treemap)
      return json(response, await source.treemap(id, index, treeQuery(searchParams)));
  }
  missing(response);
}

/** Lines as the page shows them. A source may give fewer at a time than it is asked for. */
async function shownLines(
  source: PageSource,
  id: string,
  { step, from, count }: LogRange,
): Promise<ShownLine[]> {
  const shown: ShownLine[] = [];
  while (shown.length < count) {
    const at = from + shown.length;
    const lines = await source.lines(id, { step, from: at, count: count - shown.length });
    if (lines.length === 0) break;
    shown.push(...lines.map((line) => shownLine(line)));
  }
  return shown;
}

/** What has changed in a view since `before`. Undefined when nothing has. */
export function viewChanges(before: BuildView, now: BuildView): ViewChanges | undefined {
  const steps = now.steps.flatMap((step, index): [number, StepView][] =>
    JSON.stringify(step) === JSON.stringify(before.steps[index]) ? [] : [[index, step]],
  );
  const { steps: _, ...rest } = now;
  const { steps: __, ...restBefore } = before;
  const isSame = JSON.stringify(rest) === JSON.stringify(restBefore);
  return isSame && steps.length === 0 ? undefined : { rest, steps };
}

export interface ViewChanges {
  readonly rest: Omit<BuildView, 'steps'>;
  /** The steps that are new or have changed, with their indexes. */
  readonly steps: readonly (readonly [number, StepView])[];
}

/** Sends the view of a build, and then what changes in it, until the build has ended. */
async function sendEvents(
  source: PageSource,
  first: BuildView,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  response.setHeader('content-type', 'text/event-stream');
  const event = (name: string, data: unknown) =>
    response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  event('view', first);
  let view = first;
  let pace = PACE_MS;
  while (view.state === 'running' && !signal.aborted) {
    await wait(pace, undefined, { signal }).catch(() => {});
    if (signal.aborted) break;
    const asked = performance.now();
    const now = await source.build(view.id);
    if (!now) break;
    const changes = viewChanges(view, now);
    if (changes) event('changes', changes);
    view = now;
    // A view that takes long to make is made less often.
    pace = Math.max(PACE_MS, 5 * (performance.now() - asked));
  }
  event('end', view.state);
  response.end();
}

/** Sends what a step has written, as text. */
async function sendLog(
  source: PageSource,
  view: BuildView,
  step: number,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('content-disposition', `attachment; filename="step-${step + 1}.log"`);
  for (let from = 0; !signal.aborted; ) {
    const lines = await source.lines(view.id, { step, from, count: COUNT_LIMIT });
    if (lines.length === 0) break;
    from += lines.length;
    const isTaken = response.write(lines.map(({ text }) => `${text}\n`).join(''));
    if (!isTaken) await drained(response, signal);
  }
  response.end();
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    response.once('drain', done);
    signal.addEventListener('abort', () => done(), { once: true });
  });
}

/** Aborted when nobody waits for the response any more. */
function goneSignal(response: ServerResponse, signal: AbortSignal): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  return AbortSignal.any([gone.signal, signal]);
}

function json(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}

function missing(response: ServerResponse): void {
  response.statusCode = 404;
  json(response, { error: 'there is no such thing' });
}

/** A whole number from 0 to `most`. */
function number(text: string | null, most: number): number {
  const value = Number(text);
  return Number.isSafeInteger(value) ? Math.min(Math.max(0, value), most) : 0;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
