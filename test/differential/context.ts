import type { Random } from '../../base/testing/random.ts';
import type { GoldenCase } from '../golden/case.ts';

const FILES: Readonly<Record<string, string>> = {
  a: 'a\n',
  'b.txt': 'b\n',
  'c.txt': '',
  'dir/d': 'd\n',
  'dir/e.txt': 'e\n',
  'dir/sub/f': 'f\n',
  'dir/sub/deep/g.txt': 'g\n',
  'dir2/h': 'h\n',
  '.hidden': 'i\n',
  'with space': 'j\n',
  'x[1]': 'k\n',
  'node_modules/m/index.js': 'm\n',
};
const LINKS: Readonly<Record<string, string>> = {
  link: 'a',
  'dir/up': '../b.txt',
  dirlink: 'dir',
  broken: 'nowhere',
  abs: '/etc/passwd',
};
const PATTERNS = [
  '*.txt',
  'dir',
  'dir/',
  '/a',
  '**/f',
  '**/*.txt',
  'dir/*',
  'dir/**',
  '*',
  '?',
  'node_modules',
  '**/sub',
  '.h*',
  'x*',
  'dir/sub/..',
  '[a-c]*',
  '',
  '# c',
  './dir2',
];

/**
 * Makes a context: some files of a fixed set, with random modes, links, an archive, and sometimes a
 * .dockerignore.
 */
export function context(
  random: Random,
): Pick<GoldenCase, 'files' | 'modes' | 'links' | 'archives'> {
  const files = Object.fromEntries(Object.entries(FILES).filter(() => !random.one(8)));
  if (random.one(4)) {
    files['.dockerignore'] = random
      .some(
        1,
        4,
        () =>
          `${random.one(4) ? `!${random.pick(PATTERNS.slice(0, 12))}` : random.pick(PATTERNS)}\n`,
      )
      .join('');
  }
  const modes = Object.fromEntries(
    Object.keys(files)
      .filter(() => random.one(5))
      .map((name) => [name, random.pick([0o600, 0o755, 0o4711, 0o640, 0o777])]),
  );
  const links = Object.fromEntries(Object.entries(LINKS).filter(() => random.one(2)));
  const archived = files['dir/d'] !== undefined && random.one(3);
  return {
    files,
    modes,
    links,
    ...(archived && { archives: { 't.tar.gz': { of: 'dir', program: 'gzip' } } }),
  };
}

const GLOBS = [
  '*.txt',
  'd*',
  'dir/*',
  'dir*',
  '?',
  '*',
  'dir/sub/*',
  '[ab]*',
  'x[[]1]',
  'nosuch*',
  '**',
  '.',
  './',
  '../a*',
  '.h*',
];
const MISSING = ['nosuch', 'dir/nosuch', 'a/b', 'broken', 'abs', '[', 'dir/up'];

/** Makes a source of a COPY: a file of the context, a pattern, or sometimes a missing file. */
export function sourceOf(random: Random, files: GoldenCase['files']): string {
  const there = Object.keys(files ?? {}).filter((name) => !/[ [\]]/.test(name));
  const above = there
    .filter((name) => name.includes('/'))
    .map((name) => name.slice(0, name.lastIndexOf('/')));
  const spelled = (name: string) =>
    random.pick([name, name, name, `/${name}`, `./${name}`, `../${name}`, `dir/../${name}`]);
  return random.mostly(
    [spelled(random.pick(there)), spelled(random.pick([...above, '.'])), random.pick(GLOBS)],
    MISSING,
  );
}
