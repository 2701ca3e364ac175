import { bytes } from '../../base/units.ts';
import { type LineOrigin, linesOfHistory } from '../../history/layer-lines.ts';
import type {
  ContentsChange,
  ImageContents,
  LayerContents,
  TreeQuery,
} from '../../images/contents/contents.ts';
import { percentText } from './amounts.ts';
import { comparePart } from './compare-view.ts';
import { button, h, place } from './dom.ts';
import { FileTree } from './file-tree.ts';
import { brief } from './hostile-text.ts';
import type { BuildContextOfPage, BuildTab } from './page-context.ts';
import { TreemapView } from './treemap-view.ts';

const PARTS = ['files', 'wasted', 'largest', 'compare'] as const;
type Part = (typeof PARTS)[number];
const PART_WORDS: Readonly<Record<Part, string>> = {
  files: 'Files',
  wasted: 'Wasted bytes',
  largest: 'Largest directories',
  compare: 'Compare',
};

/** What the images of a build are made of. */
export function imageTab(context: BuildContextOfPage): BuildTab {
  return new ImageTab(context);
}

class ImageTab implements BuildTab {
  readonly element = h('section', { class: 'image', 'aria-label': 'Image' });
  readonly #context: BuildContextOfPage;
  readonly #layers = h('div', { class: 'layers' });
  readonly #parts = h('div', { class: 'image-parts' });
  readonly #tree: FileTree;
  #images: readonly ImageContents[] | undefined;
  #image = 0;
  /** The steps that made the lines of the history of the image. */
  #origins: readonly (LineOrigin | undefined)[] = [];
  /** Undefined for the whole image. */
  #layer: number | undefined;
  #part: Part = 'files';
  #changes: ReadonlySet<ContentsChange> = new Set(['added', 'changed', 'removed']);
  #filter = '';

  constructor(context: BuildContextOfPage) {
    this.#context = context;
    this.#tree = new FileTree((id, offset) => {
      const { data, view } = context;
      return data.directory(view().id, this.#image, {
        ...{ ...this.#query(), id, offset, sort: 'size', limit: 200 },
        ...(this.#filter !== '' && { filter: this.#filter }),
        ...(this.#layer !== undefined && { changes: [...this.#changes] }),
      });
    });
  }

  update(): void {
    if (this.#images || this.#context.view().state === 'running') {
      if (!this.#images)
        this.element.replaceChildren(h('p', {}, 'There is an image when the build has ended.'));
      return;
    }
    this.#images = [];
    this.element.replaceChildren(h('p', {}, 'Reading the layers of the image …'));
    this.#context.data.images(this.#context.view().id).then(
      (images) => {
        this.#images = images;
        this.#draw();
      },
      (error: Error) =>
        this.element.replaceChildren(h('p', { class: 'error-text' }, brief(error.message, 500))),
    );
  }

  reveal(): void {}

  shown(): void {
    this.#tree.element.dispatchEvent(new Event('scroll'));
  }

  #query(): TreeQuery {
    return this.#layer === undefined ? {} : { upTo: this.#layer, since: this.#layer - 1 };
  }

  #draw(): void {
    const image = this.#images?.[this.#image];
    if (!image) {
      this.element.replaceChildren(
        h('p', {}, 'No image of this build is in the store: it made none, or it was removed.'),
      );
      return;
    }
    this.#origins = linesOfHistory(this.#context.view(), image.history);
    const { files, layers, wasted, compressed, efficiency } = image;
    const facts: [string, string][] = [
      ['Size of all layers', bytes(image.bytes)],
      ['As it is sent', compressed === undefined ? 'not known' : bytes(compressed)],
      ['Files that are seen', `${files.files} with ${bytes(files.bytes)}`],
      ['Layers', String(layers.length)],
      ['Wasted', `${bytes(wasted.bytes)} by ${wasted.paths} paths`],
      ['Efficiency', `${Math.round(efficiency * 100)} %`],
    ];
    this.element.replaceChildren(
      ...(this.#images!.length > 1 ? [this.#platforms()] : []),
      h(
        'dl',
        { class: 'facts wide-facts image-facts' },
        facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
      ),
      h('div', { class: 'image-columns' }, this.#layers, this.#parts),
    );
    this.#drawLayers(image);
    this.#drawPart(image);
  }

  #platforms(): HTMLElement {
    const select = h(
      'select',
      {
        'aria-label': 'Platform',
        onchange: () => {
          this.#image = select.selectedIndex;
          this.#layer = undefined;
          this.#draw();
        },
      },
      this.#images!.map(({ platform }, index) =>
        h('option', { selected: index === this.#image }, brief(platform, 80)),
      ),
    );
    return h('div', { class: 'toolbar' }, select);
  }

  #drawLayers(image: ImageContents): void {
    const largest = Math.max(1, ...image.layers.map((layer) => layer.bytes));
    const choose = (layer: number | undefined) => {
      this.#layer = layer;
      this.#part = 'files';
      this.#drawLayers(image);
      this.#drawPart(image);
      this.#layers.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
    };
    this.#layers.replaceChildren(
      h('h2', {}, 'Layers'),
      h(
        'ol',
        {},
        h(
          'li',
          {},
          button('The whole image', () => choose(undefined), {
            class: 'layer',
            'aria-pressed': String(this.#layer === undefined),
          }),
        ),
        image.layers.map((layer, index) =>
          h(
            'li',
            {},
            layerButton(image, layer, largest, {
              place: lineText(this.#originOf(layer)),
              isChosen: this.#layer === index,
              choose: () => choose(index),
            }),
          ),
        ),
      ),
    );
  }

  #originOf({ history }: LayerContents): LineOrigin | undefined {
    return history === undefined ? undefined : this.#origins[history];
  }

  #drawPart(image: ImageContents): void {
    const tabs = h(
      'div',
      { class: 'part-tabs', role: 'group', 'aria-label': 'Views of the image' },
      PARTS.map((part) =>
        button(
          PART_WORDS[part],
          () => {
            this.#part = part;
            this.#drawPart(image);
            this.#parts.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
          },
          { 'aria-pressed': String(part === this.#part) },
        ),
      ),
    );
    const makers: Readonly<Record<Part, () => HTMLElement>> = {
      files: () => this.#files(image),
      wasted: () => wastedList(image),
      largest: () => this.#treemap(),
      compare: () => comparePart(this.#context),
    };
    this.#parts.replaceChildren(tabs, makers[this.#part]());
    if (this.#part === 'files') void this.#tree.reset().catch(() => {});
  }

  #files(image: ImageContents): HTMLElement {
    const again = () => void this.#tree.reset().catch(() => {});
    const check = (change: ContentsChange) =>
      h(
        'label',
        {},
        h('input', {
          type: 'checkbox',
          checked: this.#changes.has(change),
          onchange: (event: Event) => {
            const changes = new Set(this.#changes);
            if ((event.target as HTMLInputElement).checked) changes.add(change);
            else changes.delete(change);
            this.#changes = changes;
            again();
          },
        }),
        ` ${change}`,
      );
    const isLayer = this.#layer !== undefined;
    const layer = image.layers[this.#layer ?? -1];
    const origin = layer && this.#originOf(layer);
    return h(
      'div',
      { class: 'files-part' },
      h(
        'div',
        { class: 'toolbar' },
        h('input', {
          type: 'search',
          value: this.#filter,
          placeholder: 'Filter names',
          'aria-label': 'Filter names of files',
          onchange: (event: Event) => {
            this.#filter = (event.target as HTMLInputElement).value;
            again();
          },
        }),
        isLayer && (['added', 'changed', 'removed', 'unchanged'] as const).map(check),
        origin &&
          button(`Made by ${lineText(origin)}`, () => this.#context.show('timeline', origin.step), {
            class: 'link',
          }),
        h('span', { class: 'sum' }, isLayer ? `layer ${this.#layer! + 1}` : 'the whole image'),
      ),
      this.#tree.element,
    );
  }

  #treemap(): HTMLElement {
    const { data, view } = this.#context;
    const map = new TreemapView((id) =>
      data.treemap(view().id, this.#image, { ...this.#query(), id, limit: 200 }),
    );
    void map.open().catch(() => {});
    return map.element;
  }
}

function layerButton(
  { history }: ImageContents,
  layer: LayerContents,
  largest: number,
  {
    place: made,
    isChosen,
    choose,
  }: { readonly place: string; readonly isChosen: boolean; readonly choose: () => void },
): HTMLElement {
  const line = layer.history === undefined ? undefined : history[layer.history];
  const { added, changed, removed, wasted, unreadable } = layer;
  const notes = [
    made,
    added.files > 0 ? `+${added.files}` : '',
    changed.files > 0 ? `~${changed.files}` : '',
    removed.files > 0 ? `−${removed.files}` : '',
    wasted > 0 ? `${bytes(wasted)} wasted` : '',
  ];
  const element = button('', choose, {
    class: 'layer',
    'aria-pressed': String(isChosen),
    title: brief(line?.createdBy ?? layer.diffId, 1000),
  });
  element.replaceChildren(
    h('span', { class: 'layer-size' }, bytes(layer.bytes)),
    h('span', { class: 'layer-line' }, brief(instructionOf(line?.createdBy ?? layer.diffId), 120)),
    place(h('span', { class: 'layer-bar', 'aria-hidden': 'true' }), {
      width: `${Math.max(1, (layer.bytes / largest) * 100)}%`,
    }),
    h(
      'span',
      { class: 'muted' },
      unreadable ? brief(unreadable.text, 120) : notes.filter(Boolean).join(' · ') || 'no files',
    ),
  );
  return element;
}

/** Where an instruction is in its Dockerfile. Empty when that is not known. */
function lineText(origin: LineOrigin | undefined): string {
  if (!origin) return '';
  const { lines } = origin;
  if (!lines) return 'a step of this build';
  return lines.end > lines.start ? `lines ${lines.start}–${lines.end}` : `line ${lines.start}`;
}

/** The line of a history as an instruction, without what builders write around it. */
function instructionOf(line: string): string {
  return line
    .replace(/^\/bin\/sh -c #\(nop\)\s+/, '')
    .replace(/^(?:RUN )?\/bin\/sh -c /, 'RUN ')
    .replace(/ # buildkit$/, '');
}

function wastedList({ wasted, layers, history, bytes: whole }: ImageContents): HTMLElement {
  const lineOf = (index: number) => {
    const at = layers[index]?.history;
    return at === undefined ? `layer ${index + 1}` : instructionOf(history[at]?.createdBy ?? '');
  };
  if (wasted.largest.length === 0)
    return h('p', {}, 'No layer removes or replaces a file of a lower one: nothing is wasted.');
  return h(
    'div',
    { class: 'wasted-part' },
    h(
      'p',
      {},
      `${bytes(wasted.bytes)} (${percentText(wasted.bytes, whole)} of the image) are in files ` +
        'that a later layer removes or replaces. They are sent and stored all the same.',
    ),
    h(
      'div',
      { class: 'scrolled', tabindex: 0, role: 'region', 'aria-label': 'Wasted bytes by path' },
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ['Wasted', 'Path', 'How', 'By'].map((name) => h('th', {}, name)),
          ),
        ),
        h(
          'tbody',
          {},
          wasted.largest.map(({ path, bytes: size, hiddenBy, how }) =>
            h(
              'tr',
              {},
              h('td', { class: 'num' }, bytes(size)),
              h('td', { class: 'path' }, brief(path, 300)),
              h('td', {}, how),
              h('td', { class: 'path' }, brief(lineOf(hiddenBy), 100)),
            ),
          ),
        ),
      ),
    ),
  );
}
