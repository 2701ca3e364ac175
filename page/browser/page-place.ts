/** What is shown, as the part of the address after `#`. Links to it can be kept and sent. */
export type PagePlace =
  | { readonly kind: 'builds' }
  | { readonly kind: 'cache' }
  | {
      readonly kind: 'build';
      readonly id: string;
      readonly tab: TabName;
      readonly step?: number;
      readonly line?: number;
      /** What more a tab wants to keep, such as a path or the build that is compared. */
      readonly at?: string;
    };

export const TABS = ['timeline', 'graph', 'log', 'image', 'request'] as const;
export type TabName = (typeof TABS)[number];

export function placeText(to: PagePlace): string {
  if (to.kind !== 'build') return `#/${to.kind}`;
  const query = new URLSearchParams();
  if (to.step !== undefined) query.set('step', String(to.step));
  if (to.line !== undefined) query.set('line', String(to.line));
  if (to.at !== undefined) query.set('at', to.at);
  const rest = query.size > 0 ? `?${query}` : '';
  return `#/build/${encodeURIComponent(to.id)}/${to.tab}${rest}`;
}

/** Reads the text of a place. An address that says nothing leads to the list of builds. */
export function placeFromText(text: string): PagePlace {
  const [path = '', query = ''] = text.replace(/^#\/?/, '').split('?');
  const [kind, id, tab] = path.split('/');
  if (kind === 'cache') return { kind: 'cache' };
  if (kind !== 'build' || !id) return { kind: 'builds' };
  const values = new URLSearchParams(query);
  const number = (name: string) => {
    const value = values.get(name);
    return value !== null && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
  };
  const [step, line, at] = [number('step'), number('line'), values.get('at')];
  return {
    kind: 'build',
    id: decoded(id),
    tab: TABS.find((name) => name === tab) ?? 'timeline',
    ...(step !== undefined && { step }),
    ...(line !== undefined && { line }),
    ...(at !== null && { at }),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
