import type { BuildEntry } from '../page-source.ts';
import { agoText, durationText } from './amounts.ts';
import { h } from './dom.ts';
import { brief } from './hostile-text.ts';
import { placeText } from './page-place.ts';

export const STATE_WORDS = {
  running: 'running',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
  lost: 'was killed',
} as const;

/** The list of builds, newest first. */
export class BuildsView {
  readonly element: HTMLElement;
  readonly #list = h('ul', { class: 'builds' });
  readonly #filter: HTMLInputElement;
  readonly #none = h('p', { class: 'muted' });
  #builds: readonly BuildEntry[] = [];

  constructor() {
    this.#filter = h('input', {
      type: 'search',
      placeholder: 'Filter builds',
      'aria-label': 'Filter builds by name, state or branch',
      oninput: () => this.#draw(),
    });
    this.#list.addEventListener('keydown', (event) => this.#key(event));
    this.element = h(
      'main',
      { class: 'list-page' },
      h('h1', {}, 'Builds'),
      h('div', { class: 'toolbar' }, this.#filter),
      this.#none,
      this.#list,
    );
  }

  update(builds: readonly BuildEntry[]): void {
    if (JSON.stringify(builds) === JSON.stringify(this.#builds)) return;
    this.#builds = builds;
    this.#draw();
  }

  #draw(): void {
    const wanted = this.#filter.value.trim().toLowerCase();
    const shown = this.#builds.filter(({ id, name, state, branch = '' }) =>
      [id, name, STATE_WORDS[state], branch].some((text) => text.toLowerCase().includes(wanted)),
    );
    const longest = Math.max(1, ...shown.map(({ started, ended }) => (ended ?? started) - started));
    this.#none.textContent =
      this.#builds.length === 0
        ? 'No build has left a record yet. kiln build makes one.'
        : shown.length === 0
          ? 'No build matches.'
          : '';
    const focused = (document.activeElement as HTMLAnchorElement | null)?.getAttribute('href');
    this.#list.replaceChildren(...shown.map((build) => buildRow(build, longest)));
    if (focused && this.#list.isConnected)
      for (const link of this.#list.querySelectorAll('a'))
        if (link.getAttribute('href') === focused) link.focus();
  }

  #key(event: KeyboardEvent): void {
    const links = [...this.#list.querySelectorAll('a')];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    const link = to === undefined ? undefined : links[to];
    if (!link) return;
    event.preventDefault();
    link.focus();
  }
}

function buildRow(build: BuildEntry, longest: number): HTMLElement {
  const { id, name, state, started, ended, counts, platforms, branch, error, damage } = build;
  if (damage !== undefined)
    return h(
      'li',
      { class: 'damaged' },
      h('span', { class: 'badge state-lost' }, 'damaged'),
      h('span', { class: 'build-name' }, brief(id)),
      h('span', { class: 'muted' }, brief(damage, 300)),
    );
  const took = (ended ?? started) - started;
  const steps = `${counts.steps} steps, ${counts.cached} cached`;
  return h(
    'li',
    {},
    h(
      'a',
      { href: placeText({ kind: 'build', id, tab: 'timeline' }) },
      h('span', { class: `badge state-${state}` }, STATE_WORDS[state]),
      h('span', { class: 'build-name' }, brief(name, 120)),
      h(
        'span',
        { class: 'build-facts' },
        [steps, ...platforms, ...(branch ? [branch] : [])]
          .map((text) => brief(text, 60))
          .join(' · '),
      ),
      error !== undefined && h('span', { class: 'build-error' }, brief(error, 160)),
      h(
        'span',
        { class: 'build-time' },
        h('progress', {
          max: longest,
          value: took,
          'aria-label': 'How long it took, next to the others',
        }),
        state === 'running' ? 'running' : durationText(took),
      ),
      h('time', { datetime: isoText(started) }, agoText(started)),
    ),
  );
}

function isoText(time: number): string {
  return Number.isFinite(time) && Math.abs(time) < 8e15 ? new Date(time).toISOString() : '';
}
