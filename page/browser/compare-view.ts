import { bytes } from '../../base/units.ts';
import type { BuildComparison } from '../../history/build-comparison.ts';
import type { ImageComparison } from '../../images/contents/comparison.ts';
import type { BuildEntry, ComparedResults } from '../page-source.ts';
import { agoText, durationText } from './amounts.ts';
import { h } from './dom.ts';
import { brief } from './hostile-text.ts';
import type { BuildContextOfPage } from './page-context.ts';

/** A choice of another build, and below it what is different in this one. */
export function comparePart(context: BuildContextOfPage): HTMLElement {
  const result = h('div', { class: 'comparison', 'aria-live': 'polite' });
  const select = h('select', { 'aria-label': 'Compare with', onchange: () => void compare() });
  const { data, view } = context;
  async function compare(): Promise<void> {
    result.replaceChildren(h('p', {}, 'Comparing …'));
    try {
      const found = await data.compare(select.value, view().id);
      result.replaceChildren(
        found ? comparison(found) : h('p', {}, 'Builds cannot be compared here.'),
      );
    } catch (error) {
      result.replaceChildren(
        h('p', { class: 'error-text' }, brief(error instanceof Error ? error.message : '', 500)),
      );
    }
  }
  void data.builds().then((all) => {
    const others = chosenFirst(
      all.filter(({ id, damage }) => id !== view().id && damage === undefined),
      view().name,
    );
    if (others.length === 0) {
      result.replaceChildren(h('p', {}, 'There is no other build to compare with.'));
      return;
    }
    select.replaceChildren(
      ...others.map(({ id, name, started }) =>
        h('option', { value: id }, `${brief(name, 60)}, ${agoText(started)}`),
      ),
    );
    void compare();
  });
  return h(
    'div',
    { class: 'compare-part' },
    h('div', { class: 'toolbar' }, h('label', {}, 'Since ', select)),
    result,
  );
}

/** Builds of the same name first. */
function chosenFirst(builds: readonly BuildEntry[], name: string): BuildEntry[] {
  const isSame = (build: BuildEntry) => build.name === name;
  return [...builds.filter(isSame), ...builds.filter((build) => !isSame(build))];
}

function comparison({ builds, images }: ComparedResults): HTMLElement {
  return h('div', { class: 'compared' }, stepsPart(builds), images.map(imagePart));
}

function stepsPart({ from, to, steps, request }: BuildComparison): HTMLElement {
  const changed = steps
    .filter(
      ({ from: a, to: b, longer = 0, isRewritten }) =>
        !a || !b || isRewritten || a.isCached !== b.isCached || Math.abs(longer) > 200,
    )
    .sort((a, b) => Math.abs(b.longer ?? 0) - Math.abs(a.longer ?? 0));
  const by =
    to.duration !== undefined && from.duration !== undefined && to.duration - from.duration;
  return h(
    'section',
    {},
    h('h3', {}, 'Steps'),
    h(
      'p',
      {},
      `${from.cached} of ${from.steps} steps were cached before, ${to.cached} of ${to.steps} now.`,
      by !== false &&
        ` The build took ${durationText(Math.abs(by))} ${by > 0 ? 'longer' : 'less'}.`,
    ),
    request.length > 0 &&
      h(
        'ul',
        { class: 'plain' },
        request.map(({ field, from: a, to: b }) =>
          h(
            'li',
            {},
            `${brief(field, 60)}: ${brief(a ?? 'none', 120)} → ${brief(b ?? 'none', 120)}`,
          ),
        ),
      ),
    scrolledTable(
      ['Step', 'Before', 'Now', 'Difference'],
      changed
        .slice(0, 100)
        .map(({ name, from: a, to: b, longer, isRewritten }) => [
          brief(isRewritten ? `${name} (rewritten)` : name, 120),
          a ? (a.isCached ? 'cached' : durationText(a.duration)) : 'not there',
          b ? (b.isCached ? 'cached' : durationText(b.duration)) : 'gone',
          longer === undefined ? '' : signed(longer, durationText),
        ]),
      'No step is different.',
    ),
  );
}

function imagePart({ from, to, config, files, packages, layers }: ImageComparison): HTMLElement {
  return h(
    'section',
    {},
    h('h3', {}, `Image for ${brief(to.platform, 60)}`),
    h(
      'p',
      {},
      `${bytes(from.bytes)} before, ${bytes(to.bytes)} now ` +
        `(${signed(to.bytes - from.bytes, bytes)}). ${layers.shared} layers are shared, ` +
        `${layers.removed.length} are gone, ${layers.added.length} are new.`,
    ),
    h('h3', {}, 'Files'),
    scrolledTable(
      ['Path', 'Change', 'Difference'],
      files.list.map(({ path, change, from: a, to: b, what }) => [
        brief(path, 300),
        what.length > 0 ? `${change}: ${what.join(', ')}` : change,
        signed((b?.size ?? 0) - (a?.size ?? 0), bytes),
      ]),
      'No file is different.',
    ),
    packages.list.length > 0 && h('h3', {}, 'Packages'),
    packages.list.length > 0 &&
      scrolledTable(
        ['Package', 'Before', 'Now'],
        packages.list.map(({ kind, name, from: a, to: b }) => [
          `${brief(name, 120)} (${kind})`,
          brief(a ?? 'not there', 80),
          brief(b ?? 'gone', 80),
        ]),
        '',
      ),
    config.length > 0 && h('h3', {}, 'Config'),
    config.length > 0 &&
      scrolledTable(
        ['Field', 'Before', 'Now'],
        config.map(({ field, from: a, to: b }) => [
          brief(field, 100),
          brief(a ?? 'none', 200),
          brief(b ?? 'none', 200),
        ]),
        '',
      ),
  );
}

function signed(value: number, text: (value: number) => string): string {
  return value === 0 ? '±0' : `${value > 0 ? '+' : '−'}${text(Math.abs(value))}`;
}

/** A table, or what is said in its place when it has no rows. */
export function scrolledTable(
  heads: readonly string[],
  rows: readonly (readonly (string | Node)[])[],
  none: string,
): HTMLElement {
  if (rows.length === 0) return h('p', { class: 'muted' }, none);
  return h(
    'div',
    { class: 'scrolled', tabindex: 0, role: 'region', 'aria-label': heads.join(', ') },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          heads.map((head) => h('th', {}, head)),
        ),
      ),
      h(
        'tbody',
        {},
        rows.map((cells) =>
          h(
            'tr',
            {},
            cells.map((cell) => h('td', {}, cell)),
          ),
        ),
      ),
    ),
  );
}
