import type { BuildView } from '../../history/build-view.ts';
import type { CacheReport } from '../../history/cache-report.ts';
import type { LastRun } from '../../history/last-run.ts';
import type {
  DirectoryPage,
  DirectoryQuery,
  ImageContents,
  TreemapBox,
  TreemapQuery,
} from '../../images/contents/contents.ts';
import type { ExportedPage } from '../export-page.ts';
import { type ExportedImage, treeName } from '../exported-image.ts';
import { queryParameters } from '../image-queries.ts';
import { type FoundLines, searchLog } from '../log-search.ts';
import type { ViewChanges } from '../page-answers.ts';
import type { BuildEntry, ComparedResults, LogRange } from '../page-source.ts';
import type { ShownLine } from '../shown-line.ts';

/** What the page shows, from a server or from the page's own file. */
export interface PageData {
  builds(): Promise<readonly BuildEntry[]>;
  build(id: string): Promise<BuildView>;
  lines(id: string, range: LogRange): Promise<readonly ShownLine[]>;
  search(id: string, text: string, step: number | undefined): Promise<FoundLines>;
  /** When a cached step ran last. Undefined when that is not known. */
  lastRun(id: string, step: number): Promise<LastRun | undefined>;
  /** Calls `changed` with each new view of a build that runs. Returns what ends it. */
  watch(id: string, changed: (view: BuildView) => void): () => void;
  images(id: string): Promise<readonly ImageContents[]>;
  directory(id: string, image: number, query: DirectoryQuery): Promise<DirectoryPage>;
  treemap(id: string, image: number, query: TreemapQuery): Promise<TreemapBox>;
  /** Undefined when nothing can be compared, as in a file. */
  compare(from: string, to: string): Promise<ComparedResults | undefined>;
  cache(): Promise<CacheReport | undefined>;
  /** Where the whole log of a step is as text. Undefined when it is nowhere. */
  logAddress(id: string, step: number): string | undefined;
}

/** Finds the data in the page, or else asks the server that the page came from. */
export async function openPageData(): Promise<PageData> {
  const text = document.getElementById('kiln-data')?.textContent;
  return text ? embeddedData(await unpacked(text)) : servedData();
}

/** An answer of the server that says what is wrong. */
export class PageError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

function servedData(): PageData {
  const ask = async (path: string, query: Readonly<Record<string, string | number>> = {}) => {
    const parameters = new URLSearchParams(
      Object.entries(query).map(([name, value]) => [name, String(value)]),
    );
    let response: Response;
    try {
      response = await fetch(`/api/${path}?${parameters}`);
    } catch {
      throw new PageError('the server of this page has ended', "run 'kiln ui' again");
    }
    if (response.ok) return await response.json();
    const type = response.headers.get('content-type') ?? '';
    const { error, hint } = type.includes('json')
      ? await response.json()
      : { error: await response.text() };
    throw new PageError(String(error), hint && String(hint));
  };
  const of = (id: string) => `builds/${encodeURIComponent(id)}`;
  return {
    builds: () => ask('builds'),
    build: (id) => ask(of(id)),
    lines: (id, { step, from, count }) => ask(`${of(id)}/lines`, { step, from, count }),
    search: (id, text, step) =>
      ask(`${of(id)}/search`, { for: text, ...(step !== undefined && { step }) }),
    lastRun: async (id, step) => (await ask(`${of(id)}/ran`, { step })) ?? undefined,
    watch: (id, changed) => watchServed(`/api/${of(id)}/events`, changed),
    images: (id) => ask(`${of(id)}/images`),
    directory: (id, image, query) =>
      ask(`${of(id)}/images/${image}/directory`, queryParameters(query)),
    treemap: (id, image, query) => ask(`${of(id)}/images/${image}/treemap`, queryParameters(query)),
    compare: async (from, to) => (await ask(`${of(to)}/compare`, { with: from })) ?? undefined,
    cache: async () => (await ask('cache')) ?? undefined,
    logAddress: (id, step) => `/api/${of(id)}/log.txt?step=${step}`,
  };
}

function watchServed(address: string, changed: (view: BuildView) => void): () => void {
  const events = new EventSource(address);
  let view: BuildView | undefined;
  events.addEventListener('view', ({ data }) => changed((view = JSON.parse(data))));
  events.addEventListener('changes', ({ data }) => {
    if (!view) return;
    const { rest, steps: newer }: ViewChanges = JSON.parse(data);
    const steps = [...view.steps];
    for (const [index, step] of newer) steps[index] = step;
    changed((view = { ...rest, steps }));
  });
  events.addEventListener('end', () => events.close());
  return () => events.close();
}

function embeddedData({ builds, views, lines, images, cache, ran }: ExportedPage): PageData {
  const source = {
    lines: (id: string, { step, from, count }: LogRange) =>
      (lines[id]?.[step] ?? []).slice(from, from + count),
  };
  const find = (id: string) => {
    const view = views.find((one) => one.id === id);
    if (!view) throw new PageError('this build is not in the file');
    return view;
  };
  return {
    builds: async () => builds,
    build: async (id) => find(id),
    lines: async (id, range) => source.lines(id, range),
    search: async (id, text, step) => await searchLog(source, find(id), text, step),
    lastRun: async (id, step) => ran[id]?.[step],
    watch: () => () => {},
    images: async (id) => images[id]?.map(({ contents }) => contents) ?? [],
    directory: async (id, image, query) => exportedDirectory(images[id]?.[image], query),
    treemap: async (id, image) => images[id]?.[image]?.treemap ?? NOTHING,
    compare: async () => undefined,
    cache: async () => cache,
    logAddress: () => undefined,
  };
}

/** The data of a page that is one file: JSON, packed with gzip, in base64. */
async function unpacked(text: string): Promise<ExportedPage> {
  const packed = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return await new Response(stream).json();
}

const NOTHING: TreemapBox = { id: 0, name: '', bytes: 0, isDirectory: true, boxes: [] };

function exportedDirectory(image: ExportedImage | undefined, query: DirectoryQuery): DirectoryPage {
  const page = image?.directories[`${treeName(query)}/${query.id ?? 0}`];
  const none = { id: query.id ?? 0, path: '', total: 0, offset: 0, entries: [] };
  if (!page) return none;
  const { changes, filter = '', offset = 0 } = query;
  const entries = page.entries.filter(
    ({ name, change, type }) =>
      (!changes || type === 'directory' || changes.includes(change)) &&
      (type === 'directory' || name.includes(filter)),
  );
  return { ...page, total: entries.length, offset, entries: entries.slice(offset) };
}
