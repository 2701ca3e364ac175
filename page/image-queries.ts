import type { ContentsChange, DirectoryQuery, TreemapQuery } from '../images/contents/contents.ts';

const CHANGES: readonly ContentsChange[] = ['added', 'changed', 'removed', 'unchanged'];

/** Writes a question about an image as the parameters of an address. */
export function queryParameters(query: DirectoryQuery | TreemapQuery): Record<string, string> {
  return Object.fromEntries(
    Object.entries(query).flatMap(([name, value]: [string, unknown]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(',') : String(value)]],
    ),
  );
}

/** Reads the parameters of a question about a tree. Those that mean nothing are left out. */
export function treeQuery(from: URLSearchParams): TreemapQuery {
  const numbers = ['id', 'upTo', 'since', 'depth', 'limit'].flatMap((name) => {
    const text = from.get(name);
    return text !== null && /^-?\d{1,9}$/.test(text) ? [[name, Number(text)] as const] : [];
  });
  const path = from.get('path');
  return { ...Object.fromEntries(numbers), ...(path !== null && { path }) };
}

export function directoryQuery(from: URLSearchParams): DirectoryQuery {
  const { depth: _, ...tree } = treeQuery(from);
  const changes = from.get('changes')?.split(',');
  const offset = Number(from.get('offset'));
  const filter = from.get('filter');
  return {
    ...tree,
    sort: from.get('sort') === 'name' ? 'name' : 'size',
    ...(Number.isSafeInteger(offset) && offset > 0 && { offset }),
    ...(filter !== null && { filter: filter.slice(0, 1000) }),
    ...(changes && { changes: CHANGES.filter((change) => changes.includes(change)) }),
  };
}
