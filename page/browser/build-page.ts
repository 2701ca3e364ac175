import type { BuildView } from '../../history/build-view.ts';
import { type ImageWaste, type Insight, insightsOf } from '../../history/insights.ts';
import { agoText, durationText, percentText } from './amounts.ts';
import { STATE_WORDS } from './builds-view.ts';
import { button, h } from './dom.ts';
import { graphTab } from './graph-view.ts';
import { brief } from './hostile-text.ts';
import { imageTab } from './image-view.ts';
import { logTab } from './log-view.ts';
import type { BuildContextOfPage, BuildTab } from './page-context.ts';
import type { PageData } from './page-data.ts';
import { type PagePlace, placeText, TABS, type TabName } from './page-place.ts';
import { requestTab } from './request-view.ts';
import { stepPanel } from './step-panel.ts';
import { endOf } from './step-words.ts';
import { timelineTab } from './timeline-view.ts';

const TAB_WORDS: Readonly<Record<TabName, string>> = {
  timeline: 'Timeline',
  graph: 'Graph',
  log: 'Log',
  image: 'Image',
  request: 'Request',
};

const MAKERS: Readonly<Record<TabName, (context: BuildContextOfPage) => BuildTab>> = {
  timeline: timelineTab,
  graph: graphTab,
  log: logTab,
  image: imageTab,
  request: requestTab,
};

/** The page of one build: what to know of it, and its tabs, with a panel for the chosen step. */
export class BuildPage {
  readonly element: HTMLElement;
  readonly id: string;
  readonly #context: BuildContextOfPage;
  readonly #header = h('header', { class: 'build-head' });
  readonly #insights = h('details', { class: 'insights', open: true });
  readonly #tabList = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Views' });
  readonly #tabPanel = h('div', { class: 'tab-panel', role: 'tabpanel', id: 'tab-panel' });
  readonly #side = h('aside', { class: 'side', 'aria-label': 'Step', hidden: true });
  readonly #tabs = new Map<TabName, BuildTab>();
  readonly #stop: () => void;
  #view: BuildView;
  #tab: TabName = 'timeline';
  #step: number | undefined;
  #image: ImageWaste | undefined;

  constructor(data: PageData, view: BuildView, go: (to: PagePlace) => void) {
    this.id = view.id;
    this.#view = view;
    const show: BuildContextOfPage['show'] = (tab, step, line) =>
      go({
        ...{ kind: 'build', id: view.id, tab },
        ...(step !== undefined && { step }),
        ...(line !== undefined && { line }),
      });
    this.#context = {
      data,
      view: () => this.#view,
      go,
      show,
      select: (step) => show(this.#tab, step),
    };
    this.element = h(
      'main',
      { class: 'build-page' },
      this.#header,
      this.#insights,
      this.#tabList,
      h('div', { class: 'parts' }, this.#tabPanel, this.#side),
    );
    this.element.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !this.#side.hidden) this.#context.select(undefined);
    });
    this.#tabList.addEventListener('keydown', (event) => this.#tabKey(event));
    this.#stop =
      view.state === 'running' ? data.watch(view.id, (newer) => this.#update(newer)) : () => {};
    void imageFacts(data, view.id).then((facts) => {
      this.#image = facts;
      this.#drawInsights();
    });
    this.#drawHead();
    this.#drawInsights();
    this.#drawTabs();
  }

  /** Shows a place of this build. */
  goTo({ tab, step, line }: PagePlace & { kind: 'build' }): void {
    const isOther = tab !== this.#tab || this.#tabPanel.childElementCount === 0;
    this.#tab = tab;
    const known = step !== undefined && this.#view.steps[step] ? step : undefined;
    const isNew = known !== this.#step || line !== undefined;
    this.#step = known;
    const shown = this.#open(tab);
    if (isOther) {
      this.#tabPanel.replaceChildren(shown.element);
      this.#tabPanel.setAttribute('aria-labelledby', `tab-${tab}`);
      this.#drawTabs();
      // The other tabs need the room.
      if (tab !== 'timeline') this.#insights.open = false;
      shown.shown?.();
      shown.update();
    }
    this.#drawSide();
    if (isOther || isNew) shown.reveal(this.#step, line);
  }

  close(): void {
    this.#stop();
  }

  #open(name: TabName): BuildTab {
    let tab = this.#tabs.get(name);
    if (!tab) {
      tab = MAKERS[name](this.#context);
      this.#tabs.set(name, tab);
    }
    return tab;
  }

  #update(view: BuildView): void {
    this.#view = view;
    this.#drawHead();
    this.#drawInsights();
    this.#tabs.get(this.#tab)?.update();
    this.#drawSide();
  }

  #drawHead(): void {
    const { name, state, started, counts, request, git } = this.#view;
    const took = endOf(this.#view) - started;
    const facts = [
      `${agoText(started)}`,
      `${counts.steps} steps`,
      `${counts.cached} cached (${percentText(counts.cached, counts.steps) || '0 %'})`,
      counts.failed > 0 ? `${counts.failed} failed` : '',
      counts.warnings > 0 ? `${counts.warnings} warning${counts.warnings === 1 ? '' : 's'}` : '',
      ...request.platforms,
      git?.branch ? `${git.branch}${git.commit ? ` @ ${git.commit.slice(0, 8)}` : ''}` : '',
      git?.isDirty ? 'with changes' : '',
    ];
    document.title = `${brief(name, 60)} · Kiln`;
    this.#header.replaceChildren(
      h(
        'div',
        { class: 'title' },
        h('span', { class: `badge state-${state}` }, STATE_WORDS[state]),
        h('h1', {}, brief(name, 120)),
        h('span', { class: 'took' }, durationText(took)),
      ),
      h(
        'p',
        { class: 'muted' },
        facts
          .filter(Boolean)
          .map((fact) => brief(fact, 80))
          .join(' · '),
      ),
    );
  }

  #drawInsights(): void {
    const all = insightsOf(this.#view, this.#image, endOf(this.#view));
    const running = this.#view.state === 'running';
    const title = running
      ? 'So far'
      : all.some(({ kind }) => kind === 'failed')
        ? 'Why it failed, and what to change'
        : all.some(({ advice }) => advice)
          ? 'Why it took this long, and what to change'
          : 'In short';
    const [shown, rest] = [all.slice(0, 3), all.slice(3)];
    const card = (insight: Insight) => this.#insightCard(insight);
    const { open: wasOpen = false } = this.#insights.querySelector('details') ?? {};
    this.#insights.replaceChildren(
      h('summary', {}, h('h2', {}, title)),
      h('ol', {}, shown.map(card)),
      ...(rest.length > 0
        ? [
            h(
              'details',
              { open: wasOpen },
              h('summary', {}, `${rest.length} more`),
              h('ol', { start: shown.length + 1 }, rest.map(card)),
            ),
          ]
        : []),
    );
  }

  #insightCard({ kind, what, advice, saves, step, seenIn }: Insight): HTMLElement {
    return h(
      'li',
      { class: `insight insight-${kind}` },
      h(
        'div',
        {},
        h('p', { class: 'what' }, brief(what, 700)),
        advice !== undefined && h('p', { class: 'advice' }, brief(advice, 700)),
      ),
      saves !== undefined &&
        saves >= 100 &&
        h('span', { class: 'saves' }, `saves ~${durationText(saves)}`),
      (step !== undefined || seenIn === 'image') &&
        button('Show', () => this.#context.show(seenIn, step), {
          'aria-label': `Show: ${brief(what, 80)}`,
        }),
    );
  }

  #drawTabs(): void {
    const hadFocus = this.#tabList.contains(document.activeElement);
    this.#tabList.replaceChildren(
      ...TABS.map((name) =>
        h(
          'a',
          {
            role: 'tab',
            id: `tab-${name}`,
            href: placeText({ kind: 'build', id: this.id, tab: name }),
            'aria-selected': String(name === this.#tab),
            'aria-controls': 'tab-panel',
            tabindex: name === this.#tab ? 0 : -1,
          },
          TAB_WORDS[name],
        ),
      ),
    );
    if (hadFocus) document.getElementById(`tab-${this.#tab}`)?.focus();
  }

  #tabKey(event: KeyboardEvent): void {
    const at = TABS.indexOf(this.#tab);
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const next = TABS[(at + by + TABS.length) % TABS.length]!;
    this.#context.show(next, this.#step);
  }

  #drawSide(): void {
    const isShown = this.#step !== undefined && (this.#tab === 'timeline' || this.#tab === 'graph');
    this.#side.hidden = !isShown;
    this.element.classList.toggle('with-side', isShown);
    if (isShown) this.#side.replaceChildren(stepPanel(this.#context, this.#step!));
    else this.#side.replaceChildren();
  }
}

/** What the insights say of the largest image. */
async function imageFacts(data: PageData, id: string): Promise<ImageWaste | undefined> {
  const images = await data.images(id).catch(() => []);
  const [largest] = [...images].sort((a, b) => b.wasted.bytes - a.wasted.bytes);
  if (!largest) return undefined;
  const { bytes: size, wasted } = largest;
  return { size, wasted: wasted.bytes, largest: wasted.largest[0] };
}
