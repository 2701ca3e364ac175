import { bytes } from '../../base/units.ts';
import type { CacheReport, PrunePreview, StoreReport } from '../../history/cache-report.ts';
import { agoText, durationText, percentText } from './amounts.ts';
import { scrolledTable } from './compare-view.ts';
import { h } from './dom.ts';
import { brief } from './hostile-text.ts';
import { placeText } from './page-place.ts';

/** Which steps miss most and what that costs, and what takes room in the store. */
export function cachePage(report: CacheReport | undefined): HTMLElement {
  return h(
    'main',
    { class: 'list-page cache-page' },
    h('h1', {}, 'Cache'),
    report
      ? [summary(report), misses(report), store(report.store)]
      : h('p', {}, 'Nothing is known of the cache here.'),
  );
}

function summary({ builds, steps, cached, since, misses: all }: CacheReport): HTMLElement {
  const saved = all.reduce((sum, { wouldSave }) => sum + wouldSave, 0);
  return h(
    'p',
    { class: 'lead' },
    `${percentText(cached, steps) || '0 %'} of the steps of the last ${builds} builds were cached` +
      `${since === undefined ? '' : ` (since ${agoText(since)})`}. ` +
      `Misses made these builds ${durationText(saved)} longer.`,
  );
}

function misses({ misses: all }: CacheReport): HTMLElement {
  return h(
    'section',
    {},
    h('h2', {}, 'Steps that miss, the most expensive first'),
    scrolledTable(
      ['Step', 'Missed', 'Cost', 'Would save', 'Why'],
      all.slice(0, 100).map(({ name, build, seen, missed, cost, wouldSave, reasons, missedIn }) => {
        const id = missedIn[0];
        const label = brief(name, 120);
        return [
          h(
            'span',
            {},
            id === undefined
              ? label
              : h('a', { href: placeText({ kind: 'build', id, tab: 'timeline' }) }, label),
            h('br', {}),
            h('span', { class: 'muted' }, brief(build, 80)),
          ),
          `${missed} of ${seen}`,
          durationText(cost),
          durationText(wouldSave),
          reasons
            .slice(0, 3)
            .map(({ text, count }) => `${brief(text, 200)}${count > 1 ? ` (${count} times)` : ''}`)
            .join('; '),
        ];
      }),
      'Each step was cached in each build.',
    ),
  );
}

function store({
  bytes: whole,
  reclaimable,
  types,
  largest,
  prunes,
  items,
}: StoreReport): HTMLElement {
  return h(
    'section',
    {},
    h('h2', {}, 'What takes room in the store'),
    h('p', {}, `${items} items have ${bytes(whole)}. ${bytes(reclaimable)} may be removed.`),
    scrolledTable(
      ['Kind', 'Items', 'Size'],
      types.map(({ type, items: count, bytes: size }) => [
        brief(type, 60),
        String(count),
        bytes(size),
      ]),
      '',
    ),
    h('h3', {}, 'The largest items'),
    scrolledTable(
      ['Size', 'What', 'Used', ''],
      largest.map(({ bytes: size, description, used, isInUse, isShared }) => [
        bytes(size),
        brief(description, 160),
        agoText(used),
        isInUse ? 'in use' : isShared ? 'shared with an image' : '',
      ]),
      'The store is empty.',
    ),
    preview('What is removed after the next build', prunes.automatic),
    preview('What kiln prune removes', prunes.command),
  );
}

function preview(title: string, { bytes: size, items, largest }: PrunePreview): HTMLElement {
  return h(
    'section',
    {},
    h('h3', {}, `${title}: ${items === 0 ? 'nothing' : `${items} items, ${bytes(size)}`}`),
    items > 0 &&
      scrolledTable(
        ['Size', 'What', 'Why'],
        largest.map(({ bytes: own, description, reason }) => [
          bytes(own),
          brief(description, 160),
          brief(reason, 160),
        ]),
        '',
      ),
  );
}
