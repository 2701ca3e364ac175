import type { ChownOpt, FileAction, FileActionCopy } from '../../llb/file-op.ts';
import { COPY } from '../../testing/graph.ts';
import type { TreeSpec } from './testing.ts';

/**
 * Cases of COPY and ADD: a line of a Dockerfile, and the actions that it means. `oracle.ts` builds
 * the line with Docker and saves the result in `testdata/docker.json`. docker.test.ts compares the
 * actions with it.
 */
export interface Case {
  readonly name: string;
  /** The line after `FROM base`. */
  readonly dockerfile: string;
  /** The actions; input 0 is the base and input 1 the context. */
  readonly actions: readonly FileAction[];
}

/** The files of the base image, besides busybox. */
export const BASE: TreeSpec = [
  'd bin 755',
  'd etc 755',
  'f etc/passwd 644 0:0 =root:x:0:0:root:/root:/bin/sh\njoe:x:1234:2345::/home/joe:/bin/sh\n',
  'f etc/group 644 0:0 =root:x:0:\nstaff:x:3456:\n',
  'd exist 700 3:4',
  'd exist/sub 711 5:6',
  'f exist/sub/f 600 7:8 =old\n',
  'l exist/sub/link /real',
  'd real 755',
  'f real/tgt 640 1:1 =old\n',
  'l dirlink real',
  'l flink /real/tgt',
  'l dangling /nowhere/x',
  'l escape ../../../../../../canary',
];

export const CONTEXT: TreeSpec = [
  'f a.txt 640 1000:1000 =a\n',
  'f b.txt 4755 =b\n',
  'd dir 755',
  'f dir/d.md 644 =d\n',
  'd dir/empty 1777',
  'p dir/fifo 644',
  'h dir/hard.md dir/d.md',
  's dir/sock 755',
  'd dir/sub 750 1000:1000',
  'f dir/sub/s.txt 644 1000:1000 =s\n',
  'f dir/sub/x 755 =x\n',
  'l link a.txt',
  'l dlink dir',
  'l abslink /a.txt',
  'l broken nope',
  'l up ../../../a.txt',
  'd deep 755',
  'd deep/one 700',
  'd deep/one/two 755',
  'f deep/one/two/three 644 =3\n',
  'f deep/one/file 644 =1\n',
  'd clash 755',
  'f clash/sub 644 =I am a file\n',
  'd over 755',
  'd over/exist 755',
  'd over/exist/sub 777',
  'f over/exist/sub/f 644 =new\n',
  'd over/dirlink 755',
  'f over/dirlink/n 644 =n\n',
  'd lnk 755',
  'l lnk/exist /etc',
  'f we[i]rd 644 =w\n',
  'd tree 755 777:888',
  'f tree/one 644 777:888 =1\n',
  'd tree/sub 700 777:888',
  'f tree/sub/two 600 777:888 =2\n',
  'l tree/abs /etc/passwd',
  'd wh 755',
  'f wh/.wh.foo 644 =x\n',
  'f empty 644',
];

/**
 * Archives that are made in the context: name, directory that is packed, program that compresses.
 */
export const ARCHIVES = [
  ['p.tar', 'tree', undefined],
  ['g.tgz', 'tree', 'gzip'],
  ['b.tbz', 'tree', 'bzip2'],
  ['x.txz', 'tree', 'xz'],
  ['z.tzst', 'tree', 'zstd'],
  ['wh.tar', 'wh', undefined],
] as const;

/**
 * The actions that BuildKit's Dockerfile frontend makes of one COPY: one for each source, each on
 * the result of the one before.
 */
function copies(
  sources: readonly string[],
  dest: string,
  more: Partial<FileActionCopy> = {},
): FileAction[] {
  return sources.map((src, at) => ({
    input: at === 0 ? 0 : 1 + at,
    secondaryInput: 1,
    output: at === sources.length - 1 ? 0 : -1,
    action: { kind: 'copy', copy: { ...COPY, src: `/${src}`, dest, ...more } },
  }));
}

function copy(sources: string, dest: string): Case {
  return {
    name: `COPY ${sources} ${dest}`,
    dockerfile: `COPY ${sources} ${dest}`,
    actions: copies(sources.split(' '), dest),
  };
}

function flagged(
  flags: string,
  sources: string,
  dest: string,
  more: Partial<FileActionCopy>,
): Case {
  const line = `COPY ${flags} ${sources} ${dest}`;
  return { name: line, dockerfile: line, actions: copies(sources.split(' '), dest, more) };
}

function add(
  flags: string,
  sources: string,
  dest: string,
  more: Partial<FileActionCopy> = {},
): Case {
  const line = `ADD ${flags}${flags === '' ? '' : ' '}${sources} ${dest}`;
  const actions = copies(sources.split(' '), dest, {
    attemptUnpackDockerCompatibility: true,
    ...more,
  });
  return { name: line, dockerfile: line, actions };
}

const name = (user: string) => ({ by: 'name', name: user, input: 0 }) as const;
const id = (number: number) => ({ by: 'id', id: number }) as const;
const owner = (user: ChownOpt['user'], group?: ChownOpt['group']): { owner: ChownOpt } => ({
  owner: { ...(user ? { user } : {}), ...(group ? { group } : {}) },
});

const wholeLine = (dockerfile: string, actions: readonly FileAction[]): Case => ({
  name: dockerfile,
  dockerfile,
  actions,
});

const mkdir = (path: string): FileAction => ({
  input: 0,
  secondaryInput: -1,
  output: 0,
  action: { kind: 'mkdir', mkdir: { path, mode: 0o755, makeParents: true, timestamp: -1 } },
});

export const CASES: readonly Case[] = [
  // Files.
  copy('a.txt', '/new/'),
  copy('a.txt', '/new/x'),
  copy('a.txt', '/new/deep/er/x'),
  copy('a.txt', '/'),
  copy('a.txt', '/exist'),
  copy('a.txt', '/exist/sub/f'),
  copy('b.txt', '/'),
  copy('a.txt b.txt', '/two/'),
  copy('empty', '/'),
  copy('missing.txt', '/l/'),
  copy('a.txt/', '/n/'),
  copy('a.txt', '/real/tgt/x'),
  // Links in the source.
  copy('link', '/l/'),
  copy('link dlink abslink up', '/l/'),
  copy('broken', '/l/'),
  copy('lnk', '/l/'),
  copy('dlink/sub', '/l/'),
  // Links in the destination.
  copy('a.txt', '/dirlink/'),
  copy('a.txt', '/dirlink'),
  copy('a.txt', '/dirlink/new/x'),
  copy('a.txt', '/flink'),
  copy('a.txt', '/dangling'),
  copy('a.txt', '/escape'),
  copy('a.txt', '/exist/sub/link/y'),
  copy('dir/sub', '/dirlink'),
  copy('dir/sub', '/exist/sub/link/'),
  // Directories.
  copy('dir', '/new'),
  copy('dir', '/new/'),
  copy('dir/', '/new/deep'),
  copy('dir', '/exist'),
  copy('dir/sub', '/exist/sub'),
  copy('dir/empty', '/e'),
  copy('deep', '/n'),
  copy('over', '/'),
  copy('over/exist', '/exist'),
  copy('lnk', '/'),
  copy('clash', '/exist'),
  copy('dir', '/real/tgt'),
  copy('dir/..', '/up/'),
  // Wildcards.
  copy('*.txt', '/w/'),
  copy('*.txt', '/w'),
  copy('?.txt', '/w/'),
  copy('[a-a].txt', '/w/'),
  copy('[^a].txt', '/w/'),
  copy('*.none', '/w/'),
  copy('nodir/*.txt', '/w/'),
  copy('di*/sub', '/w/'),
  copy('dir/*', '/w/'),
  copy('dir*', '/w/'),
  copy('d*/*/s.txt', '/w/'),
  copy('dlink/s*', '/w/'),
  copy('l*', '/w/'),
  copy('*link', '/w/'),
  copy('we[[]i]rd', '/w/'),
  wholeLine('COPY ["we\\\\[i]rd", "/w/"]', copies(['we[i]rd'], '/w/')),
  copy('deep/*/*', '/w/'),
  // Modes.
  flagged('--chmod=644', 'dir', '/n', { mode: 0o644 }),
  flagged('--chmod=4711', 'a.txt', '/n/', { mode: 0o4711 }),
  flagged('--chmod=2755', 'dir/sub', '/n/m/', { mode: 0o2755 }),
  flagged('--chmod=700', 'dir/sub', '/exist/sub', { mode: 0o700 }),
  flagged('--chmod=u=rwX,go-rwx', 'dir', '/n', { modeStr: 'u=rwX,go-rwx' }),
  flagged('--chmod=+w', 'dir/sub', '/n', { modeStr: '+w' }),
  flagged('--chmod=+x', 'dir', '/n', { modeStr: '+x' }),
  flagged('--chmod=a+X', 'dir', '/n', { modeStr: 'a+X' }),
  flagged('--chmod=go=u-w,+X,u+s', 'a.txt', '/n/', { modeStr: 'go=u-w,+X,u+s' }),
  flagged('--chmod=g=u,o=g,u-x', 'dir', '/n/', { modeStr: 'g=u,o=g,u-x' }),
  flagged('--chmod=+t,o+s,g+s', 'deep', '/n/', { modeStr: '+t,o+s,g+s' }),
  flagged('--chmod==rw', 'b.txt', '/n/', { modeStr: '=rw' }),
  flagged('--chmod=a=', 'b.txt', '/n/', { modeStr: 'a=' }),
  // Owners.
  flagged('--chown=joe', 'dir/sub', '/n/m/', owner(name('joe'))),
  flagged('--chown=joe:staff', 'dir', '/n/', owner(name('joe'), name('staff'))),
  flagged('--chown=joe:77', 'dir/sub', '/exist/sub', owner(name('joe'), id(77))),
  flagged('--chown=nobody', 'a.txt', '/n/', owner(name('nobody'))),
  flagged('--chown=12:nogroup', 'a.txt', '/n/', owner(id(12), name('nogroup'))),
  flagged('--chown=55', 'b.txt', '/n/', owner(id(55))),
  flagged('--chown=9:10', 'lnk', '/n/', owner(id(9), id(10))),
  // Patterns.
  flagged('--exclude=sub', 'dir', '/n/', { excludePatterns: ['sub'] }),
  flagged('--exclude=*/x', 'dir', '/n/', { excludePatterns: ['*/x'] }),
  flagged('--exclude=**/*.txt --exclude=*.md', 'dir', '/n/', {
    excludePatterns: ['**/*.txt', '*.md'],
  }),
  flagged('--exclude=sub --exclude=!sub/x', 'dir', '/n/', { excludePatterns: ['sub', '!sub/x'] }),
  flagged('--exclude=d*', 'dir*', '/n/', { excludePatterns: ['d*'] }),
  flagged('--exclude=a.txt', '*.txt', '/n/', { excludePatterns: ['a.txt'] }),
  // Archives.
  add('', 'p.tar', '/u/'),
  add('', 'p.tar', '/u'),
  add('', 'g.tgz', '/u/x'),
  add('', 'b.tbz', '/u'),
  add('', 'x.txz', '/u'),
  add('', 'z.tzst', '/u'),
  add('', 'empty a.txt', '/u/'),
  add('', 'wh.tar', '/u'),
  add('', 'p.tar', '/exist'),
  add('', 'p.tar', '/exist/sub/f'),
  add('', '*.tar', '/u/'),
  add('', 'tree', '/u/'),
  add('', 'p.tar', '/dirlink/'),
  add('', 'p.tar', '/'),
  add('--chown=5:6', 'p.tar', '/u', owner(id(5), id(6))),
  add('--chmod=600', 'p.tar', '/u', { mode: 0o600 }),
  // Directories made by WORKDIR.
  wholeLine('WORKDIR /w1/w2', [mkdir('/w1/w2')]),
  wholeLine('WORKDIR /exist/sub', [mkdir('/exist/sub')]),
  wholeLine('WORKDIR /dirlink/in', [mkdir('/dirlink/in')]),
];
