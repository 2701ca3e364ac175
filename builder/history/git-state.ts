import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** What the record of a build says of the repository that its context is in. */
export interface GitState {
  /** The URL of its remote. A login in it is still there. */
  readonly remote?: string;
  readonly commit?: string;
  readonly branch?: string;
}

/** Files of a repository that are longer are not read. Bytes. */
const LONGEST = 1 << 20;

/**
 * The state of the git repository that a directory is in. Undefined when it is in none. It is read
 * from the files of the repository: to start git would take longer than all of a cached build. No
 * rule of the repository is obeyed, and nothing is run. Whether files have changed is not known.
 */
export function gitState(directory: string): GitState | undefined {
  try {
    const own = gitDirectory(directory);
    if (own === undefined) return undefined;
    const common = textOf(join(own, 'commondir'));
    const shared = common === undefined ? own : resolve(own, common.trim());
    const head = textOf(join(own, 'HEAD'))?.trim() ?? '';
    const [, ref] = /^ref: (refs\/\S+)$/.exec(head) ?? [];
    const commit = ref === undefined ? head : commitOf(ref, own, shared);
    const remote = remoteIn(textOf(join(shared, 'config')) ?? '');
    const branch = ref?.startsWith('refs/heads/') ? ref.slice('refs/heads/'.length) : undefined;
    return {
      ...(remote !== undefined && { remote }),
      ...(commit !== undefined && COMMIT.test(commit) && { commit }),
      ...(branch !== undefined && { branch }),
    };
  } catch {
    // A repository that cannot be read says nothing.
    return undefined;
  }
}

const COMMIT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

/** The directory of git for this directory: `.git` of it or of one above, or where that leads. */
function gitDirectory(directory: string): string | undefined {
  for (let at = directory; ; at = dirname(at)) {
    const path = join(at, '.git');
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) return path;
    if (stat?.isFile()) {
      const [, target] = /^gitdir: (.+)$/m.exec(textOf(path) ?? '') ?? [];
      return target === undefined ? undefined : resolve(at, target.trim());
    }
    if (at === dirname(at)) return undefined;
  }
}

function commitOf(ref: string, own: string, shared: string): string | undefined {
  if (ref.split('/').includes('..')) return undefined;
  const loose = textOf(join(own, ref)) ?? textOf(join(shared, ref));
  if (loose !== undefined) return loose.trim();
  const packed = textOf(join(shared, 'packed-refs')) ?? '';
  return packed
    .split('\n')
    .find((line) => line.endsWith(` ${ref}`))
    ?.slice(0, -ref.length - 1);
}

/** The URL of `origin`, or else of `upstream`. */
function remoteIn(config: string): string | undefined {
  const urls = new Map<string, string>();
  let remote: string | undefined;
  for (const line of config.split('\n')) {
    const [section] = /^\s*\[.*\]\s*$/.exec(line) ?? [];
    if (section !== undefined) [, remote] = /^\s*\[remote "([^"]*)"\]\s*$/.exec(section) ?? [];
    const [, url] = /^\s*url\s*=\s*(\S+)\s*$/.exec(line) ?? [];
    if (remote !== undefined && url !== undefined && !urls.has(remote)) urls.set(remote, url);
  }
  return urls.get('origin') ?? urls.get('upstream');
}

function textOf(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const stat = statSync(path);
  return stat.isFile() && stat.size <= LONGEST ? readFileSync(path, 'utf8') : undefined;
}
