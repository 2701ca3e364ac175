import { BuildPage } from './build-page.ts';
import { BuildsView } from './builds-view.ts';
import { cachePage } from './cache-view.ts';
import { h } from './dom.ts';
import { brief } from './hostile-text.ts';
import { openPageData, type PageData, PageError } from './page-data.ts';
import { type PagePlace, placeFromText, placeText } from './page-place.ts';

/** How often the list of builds is asked for while it is seen, in milliseconds. */
const PACE_MS = 3000;

/** The page: a line at the top, and below it the place that the address names. */
class Page {
  readonly #data: PageData;
  readonly #content = h('div', { class: 'content' });
  readonly #nav = h('nav', { 'aria-label': 'Places' });
  readonly #builds = new BuildsView();
  #build: BuildPage | undefined;
  #asked = 0;

  constructor(data: PageData, root: HTMLElement) {
    this.#data = data;
    root.replaceChildren(
      h('a', { class: 'skip', href: '#content' }, 'Skip to the content'),
      h(
        'header',
        { class: 'top' },
        h('a', { class: 'brand', href: '#/builds' }, 'Kiln'),
        this.#nav,
      ),
      this.#content,
    );
    root.querySelector('.skip')?.addEventListener('click', (event) => {
      event.preventDefault();
      const main = root.querySelector('main');
      main?.setAttribute('tabindex', '-1');
      main?.focus();
    });
    addEventListener('hashchange', () => void this.show());
    setInterval(() => void this.#renew(), PACE_MS);
  }

  async show(): Promise<void> {
    const to = placeFromText(location.hash);
    const asked = ++this.#asked;
    this.#drawNav(to);
    try {
      if (to.kind === 'build') return await this.#showBuild(to, () => asked === this.#asked);
      this.#leave();
      if (to.kind === 'cache') {
        document.title = 'Cache · Kiln';
        const report = await this.#data.cache();
        if (asked === this.#asked) this.#content.replaceChildren(cachePage(report));
        return;
      }
      document.title = 'Builds · Kiln';
      const builds = await this.#data.builds();
      if (asked !== this.#asked) return;
      this.#builds.update(builds);
      this.#content.replaceChildren(this.#builds.element);
    } catch (error) {
      if (asked !== this.#asked) return;
      this.#leave();
      this.#content.replaceChildren(problem(error));
    }
  }

  async #showBuild(to: PagePlace & { kind: 'build' }, isWanted: () => boolean): Promise<void> {
    if (this.#build?.id !== to.id) {
      const view = await this.#data.build(to.id);
      if (!isWanted()) return;
      this.#leave();
      this.#build = new BuildPage(this.#data, view, (next) => {
        const text = placeText(next);
        if (location.hash === text) void this.show();
        else location.hash = text;
      });
      this.#content.replaceChildren(this.#build.element);
    }
    this.#build.goTo(to);
  }

  #leave(): void {
    this.#build?.close();
    this.#build = undefined;
  }

  #drawNav({ kind }: PagePlace): void {
    const link = (href: string, label: string, isHere: boolean) =>
      h('a', { href, 'aria-current': isHere ? 'page' : undefined }, label);
    this.#nav.replaceChildren(
      link('#/builds', 'Builds', kind === 'builds'),
      link('#/cache', 'Cache', kind === 'cache'),
    );
  }

  async #renew(): Promise<void> {
    if (document.hidden || !this.#builds.element.isConnected) return;
    try {
      this.#builds.update(await this.#data.builds());
    } catch {
      // The list stays as it was. Whoever opens a build is told what is wrong.
    }
  }
}

function problem(error: unknown): HTMLElement {
  const hint = error instanceof PageError ? error.hint : undefined;
  return h(
    'main',
    { class: 'list-page' },
    h('h1', {}, 'This cannot be shown'),
    h(
      'p',
      { class: 'error-text' },
      brief(error instanceof Error ? error.message : String(error), 500),
    ),
    hint !== undefined && h('p', {}, brief(hint, 300)),
    h('p', {}, h('a', { href: '#/builds' }, 'All builds')),
  );
}

const root = document.getElementById('app')!;
try {
  await new Page(await openPageData(), root).show();
} catch (error) {
  root.replaceChildren(problem(error));
}
