import type { Member } from './archive.fixture.ts';

const dir = (path: string): Member => ({ path: `${path}/`, type: 'directory' });

/**
 * Tar archives that try to write outside the layer. Each must be refused or stay inside. `CANARY`
 * stands for a directory outside.
 */
export const BREAKOUTS: Readonly<Record<string, readonly Member[]>> = {
  'dots first': [{ path: '../canary/new', content: 'x' }],
  'dots inside': [dir('a'), { path: 'a/../../canary/new', content: 'x' }],
  absolute: [{ path: 'CANARY/new', content: 'x' }],
  'the root as a link': [
    { path: '.', type: 'symlink', linkPath: 'CANARY' },
    { path: 'new', content: 'x' },
  ],
  'the root as a file': [{ path: './', content: 'x' }],
  'beneath an absolute link': [
    { path: 'l', type: 'symlink', linkPath: 'CANARY' },
    { path: 'l/new', content: 'x' },
  ],
  'beneath a relative link': [
    { path: 'l', type: 'symlink', linkPath: '../canary' },
    { path: 'l/new', content: 'x' },
  ],
  'beneath chained links': [
    { path: 'a', type: 'symlink', linkPath: 'b' },
    { path: 'b', type: 'symlink', linkPath: '..' },
    { path: 'a/canary/new', content: 'x' },
  ],
  'beneath a link to .': [
    { path: 'l', type: 'symlink', linkPath: '.' },
    { path: 'l/../../canary/new', content: 'x' },
  ],
  'beneath the working directory': [
    { path: 'l', type: 'symlink', linkPath: '/proc/self/cwd' },
    { path: 'l/new', content: 'x' },
  ],
  'over a link': [
    { path: 'l', type: 'symlink', linkPath: 'CANARY/f' },
    { path: 'l', content: 'x' },
  ],
  'a directory over a link': [
    { path: 'l', type: 'symlink', linkPath: 'CANARY' },
    dir('l'),
    { path: 'l/new', content: 'x' },
  ],
  'attributes through a link': [
    {
      path: 'l',
      type: 'symlink',
      linkPath: 'CANARY/f',
      mode: 0o777,
      uid: 9,
      mtime: { sec: 5, nsec: 0 },
    },
  ],
  'a hard link out by dots': [
    { path: 'h', type: 'hardlink', linkPath: '../canary/f' },
    { path: 'h', content: 'x' },
  ],
  'a hard link out by its path': [{ path: 'h', type: 'hardlink', linkPath: 'CANARY/f' }],
  'a hard link through a link': [
    { path: 'l', type: 'symlink', linkPath: 'CANARY' },
    { path: 'h', type: 'hardlink', linkPath: 'l/f' },
    { path: 'h', content: 'x' },
  ],
  'a hard link to a link, then written': [
    { path: 'l', type: 'symlink', linkPath: 'CANARY/f' },
    { path: 'h', type: 'hardlink', linkPath: 'l' },
    { path: 'h', content: 'x' },
  ],
  'a hard link to the root': [{ path: 'h', type: 'hardlink', linkPath: '.' }],
  'a whiteout of dots': [{ path: '.wh...', content: '' }],
  'a whiteout of the parent': [dir('a'), { path: 'a/.wh...' }],
  'a whiteout of nothing': [{ path: '.wh.' }],
  'a whiteout through a link': [
    { path: 'l', type: 'symlink', linkPath: 'CANARY' },
    { path: 'l/.wh.f' },
  ],
  'an opaque mark through a link': [
    { path: 'l', type: 'symlink', linkPath: 'CANARY' },
    { path: 'l/.wh..wh..opq' },
  ],
  'a whiteout of a whiteout': [{ path: '.wh..wh.x' }],
  'a file, then below it': [
    { path: 'f', content: 'x' },
    { path: 'f/../../canary/new', content: 'x' },
  ],
  'a directory made a link between entries': [
    dir('d'),
    { path: 'd/in', content: 'x' },
    { path: 'd', type: 'symlink', linkPath: 'CANARY' },
    { path: 'd/new', content: 'x' },
  ],
  'a whiteout made by hand': [{ path: 'd', type: 'char', devMajor: 0, devMinor: 0 }],
};

/** The members of one such archive, with `canary` as the directory of the host. */
export function breakout(
  members: readonly Member[],
  canary: string,
): readonly (Member & { readonly linkPath: string })[] {
  const outside = (text: string) => text.replace('CANARY', canary);
  return members.map((one) => ({
    ...one,
    path: outside(one.path),
    linkPath: outside(one.linkPath ?? ''),
  }));
}
