import { KilnError } from '../../base/errors.ts';
import { parseBool } from './goformat.ts';
import { join } from './paths.ts';

/**
 * A source of ADD that is a git repository: `https://host/repo.git#ref:subdir`, `git@host:repo`,
 * `…?tag=v1&subdir=x`.
 */
export interface GitRef {
  /** Host and path. The same repository has the same id for every protocol. */
  readonly id: string;
  /** The URL without fragment and query. */
  readonly remote: string;
  readonly ref: string;
  readonly subdir: string;
  readonly checksum: string;
  readonly keepGitDir: boolean | undefined;
  readonly submodules: boolean | undefined;
  /** What time files have: of BuildKit, that of the checkout unless it is `commit`. */
  readonly mtime: 'commit' | 'checkout' | undefined;
  /** The commit is fetched by its id, and the remote is not asked what the ref means. */
  readonly fetchByCommit: boolean | undefined;
  readonly ssh: boolean;
  /** True for `github.com/…`, which may also be a path of the context. ADD treats it as a path. */
  readonly looksLocal: boolean;
}

interface Url {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly fragment: string;
  readonly remote: string;
}

/**
 * Undefined for a source that is not a git repository. Throws KILN_ADD_GIT for an invalid query.
 */
export function gitRefOf(source: string): GitRef | undefined {
  if (source.startsWith('./') || source.startsWith('../')) return undefined;
  const looksLocal = source.startsWith('github.com/');
  const url = looksLocal ? parseUrl(`https://${source}`) : (parseUrl(source) ?? parseScp(source));
  if (!url || !['http', 'https', 'ssh', 'git'].includes(url.scheme)) return undefined;
  if (!looksLocal && url.scheme.startsWith('http') && !url.path.endsWith('.git')) return undefined;
  const colon = url.fragment.indexOf(':');
  const fragmentRef = colon < 0 ? url.fragment : url.fragment.slice(0, colon);
  const fragmentSubdir = colon < 0 ? '' : url.fragment.slice(colon + 1);
  const query = readQuery(source, url.query, fragmentRef, fragmentSubdir);
  const subdir = join('/', query.subdir).slice(1);
  return {
    ...query,
    subdir,
    id: url.host + join('/', url.path),
    remote: url.remote,
    ssh: url.scheme === 'ssh',
    looksLocal,
  };
}

function parseUrl(text: string): Url | undefined {
  const match =
    /^([A-Za-z0-9]+):\/\/(?:([^/?#]*)@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(text);
  if (!match) return undefined;
  const [, scheme = '', user, host = '', path = '', query = '', fragment = ''] = match;
  const lower = scheme.toLowerCase();
  return {
    scheme: lower,
    host,
    path,
    query,
    fragment,
    remote: `${lower}://${user === undefined ? '' : `${user}@`}${host}${path}`,
  };
}

/** `[user@]host:path`, as scp writes it. */
function parseScp(text: string): Url | undefined {
  const match = /^([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/.exec(text);
  if (!match) return undefined;
  const [, user, host = '', path = '', query = '', fragment = ''] = match;
  return { scheme: 'ssh', host, path, query, fragment, remote: `${user}@${host}:${path}` };
}

/** The keys that mean true without a value. */
const TRUTHS: readonly string[] = ['keep-git-dir', 'submodules', 'fetch-by-commit'];

type Query = Omit<GitRef, 'id' | 'remote' | 'ssh' | 'looksLocal'>;

function readQuery(
  source: string,
  query: string,
  fragmentRef: string,
  fragmentSubdir: string,
): Query {
  const bad = (why: string): KilnError => new KilnError('KILN_ADD_GIT', `${source}: ${why}`);
  const found = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(query)) {
    if (found.has(key)) throw bad(`${key} is given twice`);
    found.set(key, value);
  }
  const known = [
    'ref',
    'tag',
    'branch',
    'subdir',
    'checksum',
    'commit',
    'keep-git-dir',
    'submodules',
    'mtime',
    'fetch-by-commit',
  ];
  const agree = (what: string, a: string, b: string): string => {
    if (a !== '' && b !== '' && a !== b) throw bad(`there are two ${what}, ${a} and ${b}`);
    return a || b;
  };
  const truth = (key: string): boolean | undefined => {
    const value = found.get(key);
    if (value === undefined) return undefined;
    const truthy = value === '' ? true : parseBool(value);
    if (truthy === undefined) throw bad(`${key}=${value} is neither true nor false`);
    return truthy;
  };
  for (const [key, value] of found) {
    if (!known.includes(key)) throw bad(`${key} is not known in its query`);
    if (value === '' && !TRUTHS.includes(key)) throw bad(`${key} has no value`);
  }
  const under = (key: string, prefix: string): string => {
    const value = found.get(key) ?? '';
    return value === '' || value.startsWith(prefix) ? value : prefix + value;
  };
  const mtime = found.get('mtime');
  if (mtime !== undefined && mtime !== 'commit' && mtime !== 'checkout')
    throw bad(`mtime=${mtime} is neither commit nor checkout`);
  if (found.has('tag') && found.has('branch')) throw bad('there is a tag and a branch');
  const named = agree('refs', fragmentRef, found.get('ref') ?? '');
  const checksum = agree('checksums', found.get('checksum') ?? '', found.get('commit') ?? '');
  const ref = agree(
    'refs',
    agree('refs', named, under('tag', 'refs/tags/')),
    under('branch', 'refs/heads/'),
  );
  const subdir = agree('subdirs', fragmentSubdir, found.get('subdir') ?? '');
  return {
    ref,
    subdir,
    checksum,
    keepGitDir: truth('keep-git-dir'),
    submodules: truth('submodules'),
    mtime,
    fetchByCommit: truth('fetch-by-commit'),
  };
}
