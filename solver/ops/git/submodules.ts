import { KilnError } from '../../../base/errors.ts';
import { cleanPath } from '../../../base/gopath.ts';
import { decodeName } from '../../../snapshotter/sys/name-bytes.ts';
import { type IndexEntry, SUBMODULE } from './index-entries.ts';
import type { Git } from './repository.ts';

/** Another repository that a commit includes at `path`. */
export interface Submodule {
  readonly path: string;
  readonly commit: string;
  readonly url: string;
}

/**
 * The submodules of `commit`, with their URLs from its `.gitmodules` (gitmodules(5)). Their names
 * are ignored, so that no path is made from them. Rejects with KILN_GIT_SUBMODULE for a submodule
 * without a URL.
 */
export async function submodulesOf(
  git: Git,
  env: Readonly<Record<string, string>>,
  commit: string,
  remote: string,
  entries: readonly IndexEntry[],
): Promise<Submodule[]> {
  const links = entries.filter(({ mode }) => mode === SUBMODULE);
  if (links.length === 0) return [];
  const args = [
    'config',
    '--blob',
    `${commit}:.gitmodules`,
    '-z',
    '--get-regexp',
    '^submodule\\..*\\.(path|url|update)$',
  ];
  const output = await git.tryRun(args, { env });
  const settings = readSettings(output.code === 0 ? decodeName(output.stdout) : '');
  return links.flatMap(({ path, id }) => {
    const found = settings.find(
      (one) => one.get('path') !== undefined && cleanPath(one.get('path')!) === path,
    );
    const url = found?.get('url');
    if (url === undefined)
      throw new KilnError(
        'KILN_GIT_SUBMODULE',
        `${remote}: the submodule at ${JSON.stringify(path)} has no URL in .gitmodules`,
        {
          hint: 'add it to .gitmodules, or build without submodules: ?submodules=false in the URL',
        },
      );
    return found?.get('update') === 'none'
      ? []
      : [{ path, commit: id, url: relativeUrl(remote, url) }];
  });
}

/** Parses `submodule.NAME.KEY\nVALUE\0…`. Returns the settings of each submodule. */
function readSettings(text: string): Map<string, string>[] {
  const byName = new Map<string, Map<string, string>>();
  for (const record of text.split('\0')) {
    const [, name, key, value] = /^submodule\.(.*)\.(path|url|update)\n(.*)$/s.exec(record) ?? [];
    if (name === undefined || key === undefined || value === undefined) continue;
    byName.set(name, (byName.get(name) ?? new Map()).set(key, value));
  }
  return [...byName.values()];
}

/**
 * The URL of a submodule. As in git-submodule(1), `./x` and `../x` are relative to the URL of the
 * repository above. Throws KILN_GIT_SUBMODULE if the result leaves the host.
 */
function relativeUrl(remote: string, url: string): string {
  if (!/^\.\.?\//.test(url)) return url;
  let base = remote.replace(/\/+$/, '');
  let rest = url;
  for (;;) {
    if (rest.startsWith('./')) rest = rest.slice(2);
    else if (rest.startsWith('../')) {
      const cut = Math.max(base.lastIndexOf('/'), base.lastIndexOf(':'));
      const origin = /^[a-z]+:\/\/[^/]*/.exec(base)?.[0] ?? '';
      if (cut < Math.max(origin.length, 1))
        throw new KilnError(
          'KILN_GIT_SUBMODULE',
          `the submodule URL ${url} has too many ../ for ${remote}`,
        );
      base = base[cut] === ':' ? base.slice(0, cut + 1) : base.slice(0, cut);
      rest = rest.slice(3);
    } else break;
  }
  return base.endsWith(':') ? base + rest : `${base}/${rest}`;
}
