import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig } from './rig.ts';

/* Sources of bind mounts that are links, or are behind links, in every kind of context. */

const root = process.getuid?.() === 0;
const real = (name: string, body: () => Promise<void>) => {
  if (!root) console.log(`SKIP ${name}: needs root`);
  else test(name, body);
};

const OUTSIDE = 'of the host';

async function withTree(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', {
    'in/f': 'x',
    'in/deep/g': 'deep',
    file: 'y',
    'sub/own': 'z',
    'ignored/key': 'secret',
    '.dockerignore': 'ignored\n',
  });
  writeFileSync(rig.path('outside'), OUTSIDE);
  mkdirSync(rig.path('outdir'));
  writeFileSync(rig.path('outdir/f'), OUTSIDE);
  for (const [target, name] of [
    ['in', 'lin'],
    ['/in', 'labs'],
    ['../in', 'sub/lup'],
    ['../../../../in', 'sub/far'],
    ['lin', 'chain'],
    ['file', 'lfile'],
    ['.', 'ldot'],
    ['/', 'ltop'],
    ['sub', 'lsub'],
    ['ignored', 'lignored'],
    ['ignored/key', 'lkey'],
    ['nowhere', 'dangling'],
    ['loop', 'loop'],
    [rig.path('outside'), 'lout'],
    ['../outdir', 'loutdir'],
    ['/proc/self/root', 'lmagic'],
    ['file', 'star[1]'],
  ] as const)
    symlinkSync(target, rig.path('c', name));
  linkSync(rig.path('c/file'), rig.path('c/hard'));
  return rig;
}

/** For each source the text of the file, or `DIRECTORY: f`. `refused` when it does not exist. */
const SOURCES: Readonly<Record<string, string>> = {
  in: 'x',
  lin: 'x',
  labs: 'x',
  'sub/lup': 'x',
  'sub/far': 'x',
  chain: 'x',
  'chain/deep/../f': 'file x',
  'lsub/lup/f': 'file x',
  'ltop/lin': 'x',
  'ldot/ldot/chain': 'x',
  '../lin': 'x',
  lfile: 'file y',
  hard: 'file y',
  'star[1]': 'file y',
  dangling: 'refused',
  loop: 'refused',
  lout: 'refused',
  loutdir: 'refused',
  'loutdir/f': 'refused',
  lmagic: 'refused',
  'l*': 'refused',
};
const IGNORED = ['lignored', 'lkey', 'ltop/ignored'];

const step = (from: string, source: string) =>
  `RUN --mount=${from}source=${source},target=/m if test -d /m; then cat /m/f; else printf ` +
  "'file '; cat /m; fi";

async function check(
  from: string,
  build: (dockerfile: string) => Promise<{ code: number | null; stderr: string }>,
  sources = SOURCES,
) {
  const good = Object.entries(sources).filter(([, found]) => found !== 'refused');
  const lines = good.map(([source, found]) => `${step(from, source)} | grep -qx '${found}'`);
  const ran = await build(`FROM busybox\n${lines.join('\n')}\n`);
  assert.is(ran.code, 0, ran.stderr);
  for (const [source] of Object.entries(sources).filter(([, found]) => found === 'refused')) {
    const { code, stderr } = await build(`FROM busybox\n${step(from, source)}\n`);
    assert.is(code, 1, source);
    assert.match(stderr, /KILN_(COPY_SOURCE_MISSING|MOUNT_SOURCE_MISSING|COPY_LINK_LOOP)/, source);
    assert.not.match(stderr, OUTSIDE, source);
  }
}

real('a directory as the context', async () => {
  await using rig = await withTree();
  const build = (dockerfile: string) => {
    rig.write('c', { Dockerfile: dockerfile });
    return rig.kiln(['build', '--progress=plain', 'c']);
  };
  await check('', build, {
    ...SOURCES,
    ...Object.fromEntries(IGNORED.map((source) => [source, 'refused'])),
  });
});

real('a named context, and a stage that took all of it', async () => {
  await using rig = await withTree();
  const build = (dockerfile: string) => {
    rig.write('d', { Dockerfile: dockerfile });
    return rig.kiln(['build', '--progress=plain', '--build-context', 'n=c', 'd']);
  };
  await check('from=n,', build, {
    ...SOURCES,
    ...Object.fromEntries(IGNORED.map((source) => [source, 'refused'])),
  });
  const staged = (dockerfile: string) =>
    build(`FROM scratch AS all\nCOPY --from=n . /\n${dockerfile}`);
  await check('from=all,', staged);
});

real('an archive as the context', async () => {
  await using rig = await withTree();
  const build = (dockerfile: string) => {
    rig.write('c', { Dockerfile: dockerfile });
    return rig.kiln(['build', '--progress=plain', '-'], {
      stdin: execFileSync('tar', ['-C', rig.path('c'), '-c', '.']),
    });
  };
  await check('', build);
});

real('a step runs again exactly when the target of a link has changed', async () => {
  await using rig = await withTree();
  rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN --mount=source=lin,target=/m cat /m/f > /r; echo ran\n',
  });
  const runs = async () => /^#\d+ [\d.]+ ran$/m.test(await rig.build('c', '-t', 'x'));
  assert.ok(await runs());
  assert.not.ok(await runs());
  writeFileSync(rig.path('c/in/f'), 'new');
  assert.ok(await runs());
  assert.is(await cat(rig, 'x', '/r'), 'new');
});

test.run();
