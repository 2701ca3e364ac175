import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { removeTree } from '../snapshotter/sys/removal.ts';
import { statsBelow } from '../snapshotter/sys/treepaths.ts';
import { makeDeep } from '../snapshotter/sys/trees.fixture.ts';
import { mountsBelow, type Ran, Rig } from './rig.ts';
import { asUser, prepared } from './user.ts';

/*
 * Trees with paths longer than the system allows (4,095 bytes). They get into the store in every
 * possible way, and every command works on that store.
 */

const NAME = 'y'.repeat(120);
const DEPTH = 40;
/**
 * The shell code for what `makeDeep` does, in the working directory. Without -P, `cd` would use the
 * whole path.
 */
const MAKE =
  `i=0; while [ $i -lt ${DEPTH} ]; do mkdir ${NAME} && cd -P ${NAME} && printf x > here; ` +
  'i=$((i+1)); done';
/** Shell code that fails unless the whole deep tree is below the working directory. */
const CHECK =
  `i=0; while [ $i -lt ${DEPTH} ]; do cd -P ${NAME} && [ "$(cat here)" = x ] || exit 9; ` +
  'i=$((i+1)); done; echo all of it';

const DOCKERFILE = `FROM busybox AS made
RUN mkdir /d && cd /d && ${MAKE}; echo ok > /ok
FROM busybox AS copied
COPY --from=made /d /plain
COPY --link --from=made /d /link
COPY --parents --from=made /d /parents
COPY --exclude=nothing --from=made /d /exclude
RUN cd /plain && ${CHECK}
RUN cd /link && ${CHECK}
RUN cd /parents/d && ${CHECK}
RUN cd /exclude && ${CHECK}
RUN --mount=from=made,source=/d,target=/m cd /m && ${CHECK}
FROM busybox AS cached
RUN --mount=type=cache,target=/c cd /c && ${MAKE}
RUN --mount=type=cache,target=/c cd /c && ${CHECK}
RUN --mount=type=cache,target=/seeded,from=made,source=/d cd /seeded && ${CHECK}
FROM busybox
COPY --from=made /ok /ok
`;

/** The name of the scratch directory of a process from an earlier boot. */
const DEAD = `${'0'.repeat(32)}-1-1-1`;

type Kiln = (...args: string[]) => Promise<Ran>;

async function succeeds(kiln: Kiln, ...args: string[]): Promise<Ran> {
  const ran = await kiln(...args);
  assert.is(ran.code, 0, `kiln ${args.join(' ')}\n${ran.stdout}${ran.stderr}`);
  return ran;
}

async function refuses(kiln: Kiln, code: string, ...args: string[]): Promise<void> {
  const { code: exit, stderr } = await kiln(...args);
  assert.is(exit, 1, `kiln ${args.join(' ')}\n${stderr}`);
  assert.match(stderr, new RegExp(`${NAME}.*\\[${code}\\]`, 's'));
}

/** Runs every command that inspects or cleans the store. At the end no deep tree is left. */
async function housekeeping(kiln: Kiln, store: string): Promise<void> {
  await succeeds(kiln, 'du');
  await succeeds(kiln, 'du', '--verbose');
  await succeeds(kiln, 'cache', 'ls');
  await succeeds(kiln, 'fsck');
  await succeeds(kiln, 'fsck', '--repair');
  await succeeds(kiln, 'prune', '-f');
  await succeeds(kiln, 'prune', '--auto');
  await succeeds(kiln, 'prune', '-af');
  await succeeds(kiln, 'du');
  for (const room of ['layers', 'caches', 'tmp'])
    assert.equal(deepIn(`${store}/${room}`), [], room);
}

/** The parts of deep trees that are below a directory. */
function deepIn(directory: string): string[] {
  const found = execFileSync('find', [directory, '-maxdepth', '6', '-name', NAME], {
    encoding: 'utf8',
  });
  return found.split('\n').filter(Boolean);
}

async function throughAll(kiln: Kiln, rig: Rig, store: string): Promise<void> {
  const build = (...args: string[]) => succeeds(kiln, 'build', '--progress=plain', ...args, 'c');
  await build('-t', 'kept');
  const copied = await build('--target', 'copied', '--output', 'type=local,dest=out');
  assert.is(copied.stderr.match(/all of it/g)!.length >= 5, true, copied.stderr);
  for (const place of ['plain', 'link', 'parents/d', 'exclude'])
    assert.is([...statsBelow(rig.path('out', place), unexpected)].length, 2 * DEPTH + 1, place);
  await build(
    '--target',
    'made',
    '--output',
    'type=tar,dest=out.tar',
    '--sbom=true',
    '--provenance=true',
  );
  const names = execFileSync('tar', ['-tf', rig.path('out.tar')], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  }).split('\n');
  assert.is(names.filter((name) => name.endsWith('/here')).length, DEPTH);
  for (const output of [
    'type=oci,dest=no.tar',
    'type=docker,dest=no.tar',
    'type=image,name=no,store=true',
  ])
    await refuses(kiln, 'KILN_LAYER_LIMIT', 'build', '--target', 'made', '--output', output, 'c');
  await refuses(
    kiln,
    'KILN_LAYER_LIMIT',
    'build',
    '--target',
    'copied',
    '--squash',
    '-t',
    'no',
    'c',
  );
  await build('--target', 'cached');
  await succeeds(kiln, 'cache', 'export', 'saved', '/c');
  await succeeds(kiln, 'cache', 'rm', '/c');
  await succeeds(kiln, 'cache', 'import', 'saved');
  await build('--target', 'cached', '--no-cache-filter', 'nothing');
  await build('-t', 'other', '--no-cache');
  await succeeds(kiln, 'rmi', 'other');
  assert.match((await succeeds(kiln, 'run', 'kept', 'cat', '/ok')).stdout, /ok/);
  await housekeeping(kiln, store);
  assert.match((await succeeds(kiln, 'run', 'kept', 'cat', '/ok')).stdout, /ok/);
}

function unexpected(error: unknown): void {
  throw error;
}

test('long paths of a step are copied and exported as a whole, or refused by name', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: DOCKERFILE });
  await throughAll((...args) => rig.kiln(args), rig, rig.store);
  removeTree(rig.path('out'));
});

test('long paths of a step work for an ordinary user, too', async () => {
  await using rig = await prepared(DOCKERFILE);
  const kiln: Kiln = (...args) => asUser(rig, 'with ids', ...args);
  await succeeds(kiln, 'load', '-q', '-i', 'busybox.tar');
  await throughAll(kiln, rig, rig.path('home/.local/share/kiln'));
  removeTree(rig.path('out'));
});

test('unreadable directories and names that are not UTF-8 are counted and removed', async () => {
  const dockerfile = `FROM busybox AS made
RUN mkdir -p /d/closed/inner && echo x > /d/closed/inner/f && \
touch "/d/$(printf 'odd\\377\\376')" && chown -R 7:8 /d && chmod 0 /d/closed/inner /d/closed
FROM busybox
COPY --from=made /d /e
RUN --mount=type=cache,target=/c mkdir -p /c/closed && touch "/c/closed/$(printf 'odd\\377')" && \
chown 9:9 /c/closed && chmod 0 /c/closed
`;
  await using rig = await prepared(dockerfile);
  const kiln: Kiln = (...args) => asUser(rig, 'with ids', ...args);
  await succeeds(kiln, 'load', '-q', '-i', 'busybox.tar');
  await succeeds(kiln, 'build', '-t', 'x', 'c');
  assert.match((await succeeds(kiln, 'run', 'x', 'ls', '-R', '/e')).stdout, /inner/);
  await succeeds(kiln, 'rmi', 'x');
  await housekeeping(kiln, rig.path('home/.local/share/kiln'));
  const left = execFileSync('find', [rig.path('home/.local/share/kiln'), '-name', 'closed'], {
    encoding: 'utf8',
  });
  assert.is(left, '');
});

test('a context with long paths is copied whole', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `FROM busybox\nCOPY tree /t\nRUN cd /t && ${CHECK}\n`,
    '.dockerignore': '**/nothing\n!**/here\n',
  });
  mkdirSync(rig.path('c/tree'));
  makeDeep(rig.path('c/tree'), DEPTH, NAME);
  const first = await rig.build('c', '--output', 'type=local,dest=out');
  assert.match(first, /all of it/);
  assert.match(await rig.build('c', '--output', 'type=local,dest=out'), /#\d+ CACHED/);
  removeTree(rig.path('out'));
  removeTree(rig.path('c'));
});

test('a tree with too many directories is refused by name, and can be removed', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY tree /t\n' });
  mkdirSync(rig.path('c/tree'));
  makeDeep(rig.path('c/tree'), 2100, 'a');
  const refused = await rig.kiln(['build', '-t', 'no', 'c']);
  assert.is(refused.code, 1, refused.stderr);
  assert.match(
    refused.stderr,
    /"\/tree\/a\/a.*more than 2048 directories deep \[KILN_LAYER_LIMIT\]/,
  );
  rig.write('c', { '.dockerignore': 'tree/a' });
  await rig.build('c', '-t', 'yes');
  removeTree(rig.path('c'));
});

test('a step can change the longest path that the system allows, of a base or an ADD', async () => {
  await using rig = await Rig.create('busybox');
  const depth = 1000;
  mkdirSync(rig.path('tree'));
  makeDeep(rig.path('tree'), depth, 'abc');
  rig.write('c', { Dockerfile: 'FROM busybox\nADD deep.tar /\n' });
  execFileSync('tar', ['-cf', rig.path('c/deep.tar'), '-C', rig.path('tree'), 'abc']);
  await rig.build('c', '-t', 'deep');
  await rig.kiln(['save', 'deep', '-o', 'deep.tar'], { expect: 0 });
  await rig.kiln(['rmi', 'deep'], { expect: 0 });
  await rig.kiln(['prune', '-af'], { expect: 0 });
  await rig.kiln(['load', '-q', '-i', 'deep.tar'], { expect: 0 });
  const down = `i=0; while [ $i -lt ${depth} ]; do cd abc; i=$((i+1)); done; cat here`;
  rig.write('c2', {
    Dockerfile:
      'FROM deep\n' +
      `RUN ${down}; echo y > here; mkdir gone; rmdir gone\n` +
      `RUN ${down} | grep y\n`,
  });
  await rig.build('c2', '-t', 'changed', '--output', 'type=oci,dest=changed.tar');
  await rig.build('c2', '-t', 'changed');
  await rig.build('c2', '-t', 'squashed', '--squash');
  for (const command of [
    ['du'],
    ['fsck'],
    ['rmi', 'changed'],
    ['prune', '-f'],
    ['fsck', '--repair'],
    ['rmi', 'squashed', 'deep'],
    ['du'],
  ])
    await rig.kiln(command, { expect: 0 });
  await rig.kiln(['prune', '-af'], { expect: 0 });
  removeTree(rig.path('tree'));
});

test('long paths of a killed build are removed, but nothing that is mounted there', async () => {
  await using rig = await Rig.create('busybox');
  const dead = rig.path(`store/tmp/${DEAD}`);
  mkdirSync(`${dead}/active-1/root`, { recursive: true });
  makeDeep(`${dead}/active-1`, DEPTH, NAME);
  rig.write('precious', { file: 'kept' });
  execFileSync('mount', ['--bind', rig.path('precious'), `${dead}/active-1/root`]);
  try {
    await rig.kiln(['du'], { expect: 0 });
    await rig.kiln(['prune', '-f'], { expect: 0 });
    assert.equal(
      readdirSync(rig.path('store/tmp')).filter((name) => name === DEAD),
      [],
    );
    assert.is(readFileSync(rig.path('precious/file'), 'utf8'), 'kept');
  } finally {
    for (const path of mountsBelow(rig.path('store/tmp'))) execFileSync('umount', [path]);
  }
});

test.run();
