import type { BuildView } from '../../history/build-view.ts';
import { h } from './dom.ts';
import { brief, visible } from './hostile-text.ts';
import type { BuildContextOfPage, BuildTab } from './page-context.ts';

const DOORS: Readonly<Record<BuildView['request']['door'], string>> = {
  cli: 'kiln build',
  buildkit: "a client of BuildKit's API",
  docker: "a client of Docker's API",
  library: 'a program',
};

/** What was asked for, what came out, and the warnings. */
export function requestTab(context: BuildContextOfPage): BuildTab {
  const element = h('section', { class: 'request', 'aria-label': 'Request' });
  return {
    element,
    update: () => element.replaceChildren(...parts(context)),
    reveal: () => {},
  };
}

function parts(context: BuildContextOfPage): HTMLElement[] {
  const view = context.view();
  const { request, git, warnings, outputs, sources } = view;
  const pairs = (values: Readonly<Record<string, string>>) =>
    Object.entries(values).map(([name, value]) => `${name}=${value}`);
  const rows: [string, readonly (string | undefined)[]][] = [
    ['Asked for by', [DOORS[request.door]]],
    ['Build', [view.id]],
    ['Context', [request.context]],
    ['Dockerfile', [request.dockerfile]],
    ['Target', [request.target]],
    ['Frontend', [request.frontend]],
    ['Platforms', request.platforms],
    ['Tags', request.tags],
    ['Build arguments', pairs(request.buildArgs)],
    ['Labels', pairs(request.labels)],
    ['Named contexts', pairs(request.namedContexts)],
    ['Secrets', request.secrets],
    ['SSH', request.ssh],
    ['Cache from', request.cacheFrom],
    ['Cache to', request.cacheTo],
    ['Outputs', request.outputs],
    ['Repository', [git?.remote]],
    ['Commit', [git?.commit && `${git.commit}${git.isDirty ? ', with changes' : ''}`]],
  ];
  return [
    h(
      'dl',
      { class: 'facts wide-facts' },
      rows.flatMap(([name, values]) => {
        const known = values.filter((value) => value !== undefined && value !== '');
        if (known.length === 0) return [];
        return [
          h(
            'div',
            {},
            h('dt', {}, name),
            known.map((value) => h('dd', {}, brief(value!, 400))),
          ),
        ];
      }),
    ),
    ...(warnings.length > 0 ? [h('h2', {}, 'Warnings'), warningList(context)] : []),
    ...(outputs.length > 0 ? [h('h2', {}, 'Results'), resultList(view)] : []),
    ...sources.flatMap(({ name, text }) => [
      h('h2', {}, brief(name, 100)),
      h(
        'pre',
        { class: 'source', tabindex: 0, 'aria-label': 'Dockerfile' },
        text
          .slice(0, 500_000)
          .split('\n')
          .map((line, index) =>
            h(
              'span',
              { class: 'source-line' },
              h('span', { class: 'line-number' }, index + 1),
              `${visible(line.slice(0, 5000))}\n`,
            ),
          ),
      ),
    ]),
  ];
}

function warningList(context: BuildContextOfPage): HTMLElement {
  return h(
    'ul',
    { class: 'plain warnings' },
    context.view().warnings.map(({ short, detail, url, lines }) =>
      h(
        'li',
        {},
        h('strong', {}, `${lines ? `Line ${lines.start}: ` : ''}${brief(short, 300)}`),
        detail.map((text) => h('p', {}, brief(text, 500))),
        url !== undefined && h('p', { class: 'muted' }, brief(url, 200)),
      ),
    ),
  );
}

function resultList({ outputs }: BuildView): HTMLElement {
  return h(
    'ul',
    { class: 'plain' },
    outputs.map(({ platform, type, digest, names }) =>
      h(
        'li',
        {},
        [type, platform, ...names, digest]
          .filter((text) => text !== undefined)
          .map((text) => brief(text, 200))
          .join(' · '),
      ),
    ),
  );
}
