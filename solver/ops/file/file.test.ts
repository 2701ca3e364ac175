import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../../../base/digest.ts';
import { KilnError } from '../../../base/errors.ts';
import type { ProgressEvent } from '../../../base/progress.ts';
import { failure } from '../../../base/testing/failure.ts';
import { createContentHasher, type SelectionHasher } from '../../../cache/contenthash/hasher.ts';
import { makeContents } from '../../../cache/contenthash/statcache.ts';
import { select } from '../../../cache/select/select.ts';
import { archive, type Member } from '../../../snapshotter/layer/archive.fixture.ts';
import { BREAKOUTS, breakout } from '../../../snapshotter/layer/breakouts.fixture.ts';
import { SCRATCH, type Snapshot } from '../../../snapshotter/snapshotter.ts';
import { openRoot } from '../../../snapshotter/sys/rooted.ts';
import { getXattr, setXattr } from '../../../snapshotter/sys/xattr.ts';
import type { FileAction, FileActionCopy } from '../../llb/file-op.ts';
import type { BuildResult } from '../../result.ts';
import { perSession } from '../../step-session.ts';
import { COPY } from '../../testing/graph.ts';
import { type FileOpWorld, fileOp } from '../file.ts';
import { NO_OVERRIDES } from './attributes.ts';
import { copyFiles, copyTree } from './copytree.ts';
import { openEarlierCopies } from './earlier.ts';
import type { CopyJob, CopyPool, LinkJob } from './inparts.ts';
import { copyFilesJob, linkFilesJob } from './jobs.ts';
import { unpackPaths, unpackSteps } from './steps.ts';
import { type CopyingSnapshotter, copyingSnapshotter, listTree } from './testing.ts';

interface World {
  home: string;
  context: string;
  outside: string;
  snapshotter: CopyingSnapshotter;
  events: ProgressEvent[];
}

const test = suite<World>('file op');

test.before.each((world) => {
  world.home = mkdtempSync(join(tmpdir(), 'kiln-fileop-'));
  world.context = join(world.home, 'context');
  world.outside = join(world.home, 'outside');
  mkdirSync(world.context);
  mkdirSync(world.outside);
  writeFileSync(join(world.outside, 'canary'), 'alive');
  world.snapshotter = copyingSnapshotter();
  world.events = [];
});

test.after.each(({ home, snapshotter }) => {
  snapshotter[Symbol.dispose]();
  rmSync(home, { recursive: true });
});

type Kind = FileAction['action'];

const copy = (src: string, dest: string, more: Partial<FileActionCopy> = {}): Kind => ({
  kind: 'copy',
  copy: { ...COPY, src, dest, ...more },
});
const rm = (
  path: string,
  more: { allowNotFound?: boolean; allowWildcard?: boolean } = {},
): Kind => ({
  kind: 'rm',
  rm: { path, allowNotFound: false, allowWildcard: false, ...more },
});
const mkfile = (path: string, text: string, mode = 0o644): Kind => ({
  kind: 'mkfile',
  mkfile: { path, mode, data: Buffer.from(text), timestamp: 5_000_000_001 },
});
const mkdir = (path: string, makeParents = true): Kind => ({
  kind: 'mkdir',
  mkdir: { path, mode: 0o751, makeParents, timestamp: 7_000_000_000 },
});

/**
 * Actions that each change the result of the one before. The base is input 0, the context input 1.
 */
function chain(...kinds: Kind[]): FileAction[] {
  return kinds.map((action, at) => ({
    input: at === 0 ? 0 : at + 1,
    secondaryInput: action.kind === 'copy' ? 1 : -1,
    output: at === kinds.length - 1 ? 0 : -1,
    action,
  }));
}

async function run(
  world: World,
  base: Snapshot,
  actions: readonly FileAction[],
  more: Partial<FileOpWorld> = {},
  memory?: string,
): Promise<string> {
  const op = fileOp({ actions }, 2, {
    snapshotter: world.snapshotter,
    hasher: perSession(() => createContentHasher({ directory: undefined })),
    ...more,
  });
  const inputs: BuildResult[] = [
    { kind: 'snapshot', snapshot: base },
    { kind: 'directory', root: world.context, ...(memory !== undefined && { memory }) },
  ];
  const signal = new AbortController().signal;
  await keyOf(world, actions);
  const context = {
    signal,
    progress: (event: ProgressEvent) => void world.events.push(event),
    vertex: digestOf('v'),
  };
  const [result] = await op.run(inputs, context);
  if (result?.kind !== 'snapshot') throw new Error('no snapshot');
  return world.snapshotter.at(result.snapshot);
}

async function keyOf(world: World, actions: readonly FileAction[]): Promise<string> {
  const op = fileOp({ actions }, 2, {
    snapshotter: world.snapshotter,
    hasher: perSession(() => createContentHasher({ directory: undefined })),
  });
  const signal = new AbortController().signal;
  const { parts, inputs } = await op.cacheMap(signal);
  const source = inputs[1]!;
  const content =
    source.by === 'content'
      ? await source.digest({ kind: 'directory', root: world.context }, signal)
      : undefined;
  return JSON.stringify([parts, content?.digest]);
}

const root = process.getuid?.() === 0;

test('touching a file keeps the key; an edit, a new name or mode changes it', async (world) => {
  writeFileSync(join(world.context, 'a'), 'one');
  const actions = chain(copy('/*', '/x/'));
  const first = await keyOf(world, actions);
  utimesSync(join(world.context, 'a'), 1, 1);
  assert.is(await keyOf(world, actions), first);
  const seen = new Set([first]);
  for (const change of [
    () => writeFileSync(join(world.context, 'a'), 'two'),
    () => chmodSync(join(world.context, 'a'), 0o755),
    () => renameSync(join(world.context, 'a'), join(world.context, 'b')),
  ]) {
    change();
    const key = await keyOf(world, actions);
    assert.not(seen.has(key));
    seen.add(key);
  }
});

test('every field of an action is part of the key', async (world) => {
  writeFileSync(join(world.context, 'a'), 'one');
  const variants: Kind[] = [
    copy('/a', '/x'),
    copy('/a', '/y'),
    copy('/a', '/x', { mode: 0o600 }),
    copy('/a', '/x', { modeStr: 'u+x' }),
    copy('/a', '/x', { owner: { user: { by: 'id', id: 1 } } }),
    copy('/a', '/x', { owner: { group: { by: 'id', id: 1 } } }),
    copy('/a', '/x', { owner: { user: { by: 'name', name: 'joe', input: 0 } } }),
    copy('/a', '/x', { timestamp: 0 }),
    copy('/a', '/x', { attemptUnpackDockerCompatibility: true }),
    copy('/a', '/x', { alwaysReplaceExistingDestPaths: true }),
    mkdir('/x'),
    mkdir('/x', false),
    mkfile('/x', 'a'),
    mkfile('/x', 'b'),
    mkfile('/x', 'b', 0o600),
    rm('/x'),
    rm('/x', { allowNotFound: true }),
    { kind: 'symlink', symlink: { oldpath: 'a', newpath: '/x', timestamp: -1 } },
    { kind: 'symlink', symlink: { oldpath: 'b', newpath: '/x', timestamp: -1 } },
  ];
  const keys = await Promise.all(variants.map((kind) => keyOf(world, chain(kind))));
  assert.is(new Set(keys).size, variants.length);
});

test('a context that changes after its key was computed is an error', async (world) => {
  writeFileSync(join(world.context, 'a'), 'one');
  const hasher = createContentHasher({ directory: undefined });
  const op = fileOp({ actions: chain(copy('/a', '/x')) }, 2, {
    snapshotter: world.snapshotter,
    hasher: () => hasher,
  });
  const signal = new AbortController().signal;
  const source = (await op.cacheMap(signal)).inputs[1]!;
  const input: BuildResult = { kind: 'directory', root: world.context };
  if (source.by === 'content') await source.digest(input, signal);
  writeFileSync(join(world.context, 'a'), 'two');
  const ran = op.run([{ kind: 'snapshot', snapshot: SCRATCH }, input], {
    signal,
    progress: () => {},
    vertex: digestOf('v'),
  });
  assert.is((await failure(ran)).code, 'KILN_CONTEXT_CHANGED');
});

test('the copy notices changed bytes even if the time stamp is the same', (world) => {
  writeFileSync(join(world.context, 'a'), 'one');
  mkdirSync(join(world.home, 'to'));
  const { dev, ino, size, mtimeMs, ctimeMs } = lstatSync(join(world.context, 'a'));
  const step = {
    path: 'a',
    target: 'a',
    mode: 0o644,
    uid: 0,
    gid: 0,
    dev,
    ino,
    size,
    mtimeMs,
    ctimeMs,
    hasXattrs: false,
  };
  using from = openRoot(world.context);
  using to = openRoot(join(world.home, 'to'));
  const other = new Uint8Array(32);
  const changed = (error: KilnError) => error.code === 'KILN_CONTEXT_CHANGED';
  assert.throws(() => copyFiles(from, to, [{ ...step, expected: other }], NO_OVERRIDES), changed);
});

test('a directory or link that was removed before the copy is a changed context', (world) => {
  for (const [name, make] of [
    ['d', (path: string) => mkdirSync(path)],
    ['l', (path: string) => symlinkSync('x', path)],
  ] as const) {
    make(join(world.context, name));
    mkdirSync(join(world.home, name));
    using from = openRoot(world.context);
    using to = openRoot(join(world.home, name));
    const [{ entries } = { entries: [] }] = select(
      { root: world.context },
      { paths: ['/'], wildcard: false, followLinks: true },
    );
    rmSync(join(world.context, name), { recursive: true });
    const contents = makeContents(entries.length);
    const job = {
      from,
      to,
      entries,
      contents,
      target: '',
      overrides: NO_OVERRIDES,
      replace: false,
      fromContext: true,
    };
    const changed = (error: KilnError) => error.code === 'KILN_CONTEXT_CHANGED';
    assert.throws(() => copyTree(job), changed, name);
  }
});

test('times are kept to the nanosecond, and xattrs of the key are kept', async (world) => {
  const file = join(world.context, 'a');
  writeFileSync(file, 'x');
  setXattr(file, 'user.note', Buffer.from('kept'));
  execFileSync('touch', ['-d', '2010-02-03T04:05:06.123456789Z', file]);
  const out = await run(world, SCRATCH, chain(copy('/', '/')));
  assert.is(lstatSync(join(out, 'a'), { bigint: true }).mtimeNs, 1265169906123456789n);
  assert.equal(getXattr(join(out, 'a'), 'user.note'), Buffer.from('kept'));
});

test('actions that change the result of each other make one layer', async (world) => {
  const out = await run(
    world,
    SCRATCH,
    chain(mkdir('/d/e'), mkfile('/d/e/f', 'text', 0o640), rm('/d/e/f'), mkfile('/d/g', 'more')),
  );
  assert.equal(listTree(out), [
    'd dir 0751 0:0 now',
    'd/e dir 0751 0:0 now',
    'd/g file 0644 0:0 5 "more"',
  ]);
});

test('a path that leaves what is not there by .. is cleaned within the root', async (world) => {
  const paths: readonly [path: string, made: readonly string[]][] = [
    ['/a/../../../b/./c', ['b', 'b/c']],
    ['a/../b', ['b']],
    ['/../../..', []],
    ['/a/..', []],
  ];
  for (const [path, made] of paths) {
    const out = await run(world, SCRATCH, chain(mkdir(path), mkfile('/f', '')));
    assert.equal(
      listTree(out).map((line) => line.split(' ')[0]),
      [...made, 'f'],
      path,
    );
  }
});

test('two actions may use the result of a third without seeing each other', async (world) => {
  const actions: FileAction[] = [
    { input: -1, secondaryInput: -1, output: -1, action: mkfile('/a', 'a') },
    { input: 2, secondaryInput: -1, output: 0, action: mkfile('/b', 'b') },
    { input: 2, secondaryInput: 3, output: 1, action: copy('/b', '/c') },
  ];
  const op = fileOp({ actions }, 2, {
    snapshotter: world.snapshotter,
    hasher: perSession(() => createContentHasher({ directory: undefined })),
  });
  const inputs: BuildResult[] = [
    { kind: 'snapshot', snapshot: SCRATCH },
    { kind: 'directory', root: world.context },
  ];
  const results = await op.run(inputs, {
    signal: new AbortController().signal,
    progress: () => {},
    vertex: digestOf('v'),
  });
  const names = results.map((result) =>
    result.kind === 'snapshot' ? readdirSync(world.snapshotter.at(result.snapshot)) : [],
  );
  assert.equal(names, [
    ['a', 'b'],
    ['a', 'c'],
  ]);
});

test('a graph with any index out of range is refused', (world) => {
  const wrong: readonly Partial<FileAction>[] = [
    { input: 7 },
    { input: -2 },
    { input: 2 },
    { secondaryInput: 99 },
    { secondaryInput: Number.NaN },
    { input: 0.5 },
    { output: -1 },
    { output: 3 },
    { action: copy('/', '/', { owner: { user: { by: 'name', name: 'x', input: -1 } } }) },
  ];
  for (const one of wrong) {
    const action: FileAction = {
      input: 0,
      secondaryInput: -1,
      output: 0,
      action: mkdir('/x'),
      ...one,
    };
    const make = () =>
      fileOp({ actions: [action] }, 2, {
        snapshotter: world.snapshotter,
        hasher: perSession(() => createContentHasher({ directory: undefined })),
      });
    assert.throws(make, (error: KilnError) => error.code === 'KILN_GRAPH_INVALID');
  }
});

test('an owner that the image does not have is root, with a warning', async (world) => {
  writeFileSync(join(world.context, 'a'), 'x');
  const owner = { user: { by: 'name', name: 'nobody', input: 0 } } as const;
  const out = await run(world, SCRATCH, chain(copy('/a', '/', { owner })));
  assert.is(lstatSync(join(out, 'a')).uid, 0);
  const warning = world.events.find((event) => event.kind === 'warning');
  assert.match(
    warning?.kind === 'warning' ? warning.short : '',
    'user "nobody" is not in /etc/passwd',
  );
});

/**
 * passwd files of hostile images, and the error for each. None of them may block the build or be
 * read completely.
 */
const PASSWDS: readonly (readonly [
  string,
  (path: string, outside: string) => void,
  string | undefined,
])[] = [
  ['a FIFO', (path) => execFileSync('mkfifo', [path]), 'KILN_USER_FILE'],
  ['a directory', (path) => mkdirSync(path), 'KILN_USER_FILE'],
  [
    'a sparse file of 1 GB',
    (path) => {
      writeFileSync(path, '');
      truncateSync(path, 2 ** 30);
    },
    'KILN_USER_FILE',
  ],
  ['a link to the host', (path, outside) => symlinkSync(join(outside, 'passwd'), path), undefined],
  ['a link to /dev/zero', (path) => symlinkSync('/dev/zero', path), undefined],
  [
    'a link to /proc/self/root',
    (path) => symlinkSync('/proc/self/root/etc/passwd', path),
    undefined,
  ],
];

for (const [what, make, code] of PASSWDS) {
  test(`passwd is ${what}`, async (world) => {
    writeFileSync(join(world.outside, 'passwd'), 'joe:x:4242:4242::/:/bin/sh\n');
    writeFileSync(join(world.context, 'a'), 'x');
    const base = world.snapshotter.add((at) => {
      mkdirSync(join(at, 'etc'));
      make(join(at, 'etc/passwd'), world.outside);
    });
    const owner = { user: { by: 'name', name: 'joe', input: 0 } } as const;
    const work = run(world, base, chain(copy('/a', '/', { owner })));
    if (code !== undefined) assert.is((await failure(work)).code, code);
    else assert.is(lstatSync(join(await work, 'a')).uid, 0);
  });
}

test('no symlink of the image makes an action write or remove outside of it', async (world) => {
  writeFileSync(join(world.context, 'a'), 'x');
  mkdirSync(join(world.context, 'dir/out'), { recursive: true });
  writeFileSync(join(world.context, 'dir/out/canary'), 'dead');
  const base = world.snapshotter.add((at) => {
    symlinkSync(world.outside, join(at, 'out'));
    symlinkSync('../../../../../../../../../..', join(at, 'up'));
    symlinkSync(join(world.outside, 'canary'), join(at, 'file'));
  });
  const before = listTree(world.outside);
  for (const kind of [
    copy('/a', '/out/'),
    copy('/a', '/out/canary'),
    copy('/a', '/file'),
    copy('/a', `/up${world.outside}/canary`),
    copy('/dir', '/', { alwaysReplaceExistingDestPaths: true }),
    mkfile('/file', 'dead'),
    mkfile('/out/canary', 'dead'),
    mkdir('/out/made'),
    mkdir(`/up${world.outside}/made`),
    rm('/out'),
    rm('/file'),
    rm('/out/canary', { allowNotFound: true }),
    rm('/out/*', { allowNotFound: true, allowWildcard: true }),
    rm(`/../../../..${world.outside}/canary`, { allowNotFound: true }),
    { kind: 'symlink', symlink: { oldpath: 'x', newpath: '/out/made', timestamp: -1 } } as const,
  ]) {
    // An error is as good as a result inside; what is outside must be unchanged.
    await run(world, base, chain(kind)).catch((error: unknown) =>
      assert.ok(error instanceof Error),
    );
    assert.equal(listTree(world.outside), before, JSON.stringify(kind));
  }
});

test('copying a directory onto a symlink fails, unless the action replaces it', async (world) => {
  mkdirSync(join(world.context, 'dir/out'), { recursive: true });
  writeFileSync(join(world.context, 'dir/out/f'), 'x');
  const base = world.snapshotter.add((at) => symlinkSync('/', join(at, 'out')));
  assert.is(
    (await failure(run(world, base, chain(copy('/dir', '/'))))).code,
    'KILN_NOT_A_DIRECTORY',
  );
  const out = await run(
    world,
    base,
    chain(copy('/dir', '/', { alwaysReplaceExistingDestPaths: true })),
  );
  assert.is(readFileSync(join(out, 'out/f'), 'utf8'), 'x');
});

test('rm removes a symlink and not its target, and fails if nothing is there', async (world) => {
  const base = world.snapshotter.add((at) => {
    mkdirSync(join(at, 'd/sub'), { recursive: true });
    writeFileSync(join(at, 'd/sub/f'), 'x');
    symlinkSync('d', join(at, 'l'));
  });
  const out = await run(world, base, chain(rm('/l'), rm('/d/s*', { allowWildcard: true })));
  assert.equal(readdirSync(out), ['d']);
  assert.equal(readdirSync(join(out, 'd')), []);
  assert.is((await failure(run(world, base, chain(rm('/nope'))))).code, 'KILN_RM_NOT_FOUND');
  assert.is((await failure(run(world, base, chain(rm('/d/..'))))).code, 'KILN_RM_ROOT');
  await run(world, base, chain(rm('/nope', { allowNotFound: true })));
});

test('mkdir keeps an existing directory, and makes parents only on request', async (world) => {
  const base = world.snapshotter.add((at) => {
    mkdirSync(join(at, 'there'));
    chmodSync(join(at, 'there'), 0o700);
  });
  const out = await run(world, base, chain(mkdir('/there', false), mkdir('/new', false)));
  assert.is(lstatSync(join(out, 'there')).mode & 0o777, 0o700);
  assert.is(lstatSync(join(out, 'new')).mode & 0o777, 0o751);
  assert.is((await failure(run(world, base, chain(mkdir('/a/b', false))))).code, 'KILN_NO_PARENT');
  assert.is((await failure(run(world, base, chain(mkfile('/a/b', ''))))).code, 'KILN_NO_PARENT');
  assert.is(
    (await failure(run(world, base, chain(copy('/', '/a/b', { createDestPath: false }))))).code,
    'KILN_NO_PARENT',
  );
});

test('mkfile does not write into a FIFO, and keeps the mode of an existing file', async (world) => {
  const base = world.snapshotter.add((at) => {
    writeFileSync(join(at, 'f'), 'long text before', { mode: 0o600 });
    execFileSync('mkfifo', [join(at, 'p')]);
  });
  const out = await run(world, base, chain(mkfile('/f', 'new')));
  assert.equal(listTree(out), ['f file 0600 0:0 5 "new"', 'p fifo 0644 0:0 now']);
  assert.is((await failure(run(world, base, chain(mkfile('/p', 'x'))))).code, 'KILN_NOT_A_FILE');
});

test('a symlink is made with the target as it is written', async (world) => {
  const action: Kind = {
    kind: 'symlink',
    symlink: { oldpath: '../any/where', newpath: '/l', timestamp: 3_000_000_000 },
  };
  const out = await run(world, SCRATCH, chain(action));
  assert.is(readlinkSync(join(out, 'l')), '../any/where');
  assert.is(
    (await failure(run(world, SCRATCH, chain(mkdir('/l'), action)))).code,
    'KILN_SYMLINK_EXISTS',
  );
});

test('a large copy on several threads gives the same tree as on one', async (world) => {
  for (const dir of ['x', 'y', 'z']) {
    mkdirSync(join(world.context, dir));
    for (let at = 0; at < 200; at++)
      writeFileSync(join(world.context, dir, `f${at}`), `${dir}${at}`);
  }
  execFileSync('ln', [join(world.context, 'x/f1'), join(world.context, 'z/hard')]);
  const alone = listTree(await run(world, SCRATCH, chain(copy('/', '/all', { mode: 0o640 }))));
  const { pool, jobs } = countingPool();
  const shared = listTree(
    await run(world, SCRATCH, chain(copy('/', '/all', { mode: 0o640 })), { pool }),
  );
  assert.ok(jobs.copied.length > 400);
  assert.equal(shared, alone);
});

/** Runs jobs immediately, and remembers which files they were for. */
function countingPool(): { pool: CopyPool; jobs: { copied: string[]; linked: string[] } } {
  const jobs = { copied: [] as string[], linked: [] as string[] };
  const pool = {
    threads: 2,
    async copy(job: CopyJob) {
      jobs.copied.push(...Array.from(unpackSteps(job.files), ({ target }) => target));
      copyFilesJob.run(structuredClone(job), { check() {} });
    },
    async link(job: LinkJob) {
      const failed = (await linkFilesJob.run(structuredClone(job), { check() {} })) as number[];
      const paths = [...unpackPaths(job.paths)];
      jobs.linked.push(...paths.filter((_, index) => !failed.includes(index)));
      return failed;
    },
  };
  return { pool, jobs };
}

/** Treats all files as old, so that their time stamps prove that they are unchanged. */
function agedHasher(): SelectionHasher {
  const hasher = createContentHasher({ directory: undefined });
  return {
    ...hasher,
    async read(tree, selection, signal) {
      const read = await hasher.read(tree, selection, signal);
      read.contents.flags.fill(0);
      return read;
    },
  };
}

test('a large copy that is made again links unchanged files', async (world) => {
  const write = (file: string, text: string) => {
    writeFileSync(join(world.context, file), text);
    // A time stamp of the current moment would prove nothing about the file.
    utimesSync(join(world.context, file), 1_600_000_000, 1_600_000_000);
  };
  mkdirSync(join(world.context, 'x'));
  for (let at = 0; at < 450; at++) write(`x/f${at}`, `first ${at}`);
  const earlier = openEarlierCopies(join(world.home, 'copies'), world.snapshotter);
  const build = async (...kinds: Kind[]) => {
    const { pool, jobs } = countingPool();
    const hasher = agedHasher();
    const out = listTree(
      await run(
        world,
        SCRATCH,
        chain(...kinds),
        { pool, earlier, hasher: () => hasher },
        'the context',
      ),
    );
    // The file of remembered copies is written when nothing else waits.
    await new Promise(setImmediate);
    return { ...jobs, out };
  };
  const all = copy('/', '/all', { mode: 0o640 });
  assert.is((await build(all)).linked.length, 0);
  write('x/f7', 'second 7');
  const again = await build(all);
  assert.equal(again.copied, ['all/x/f7']);
  assert.is(again.linked.length, 449);
  assert.equal(again.out, listTree(await run(world, SCRATCH, chain(all))));
  // A copy with another mode links nothing, nor does a layer of several actions.
  assert.is((await build(copy('/', '/all', { mode: 0o600 }))).linked.length, 0);
  assert.is((await build(all, mkfile('/all/x/f8', 'over it'))).linked.length, 0);
  // A file that is no longer in the earlier layer is copied.
  await build(all);
  rmSync(join(world.snapshotter.last(), 'all/x/f9'));
  assert.equal((await build(all)).copied, ['all/x/f9']);
});

test('an archive cannot write outside the directory that it is added to', async (world) => {
  const base = world.snapshotter.add((at) => {
    mkdirSync(join(at, 'in'));
    writeFileSync(join(at, 'victim'), 'alive');
  });
  const make = (script: string) =>
    writeFileSync(
      join(world.context, 'a.tar'),
      execFileSync('python3', [
        '-c',
        `${PREAMBLE}\n${script}\nsys.stdout.buffer.write(b.getvalue())`,
      ]),
    );
  const evil = [
    `add('../victim', data=b'dead')`,
    `add('x/../../victim', data=b'dead')`,
    `link('l', '/'); add('l/victim', data=b'dead')`,
    `link('l', '..'); add('l/victim', data=b'dead')`,
    `link('l', '${world.outside}'); add('l/canary', data=b'dead')`,
    `link('a', '.'); link('a/b', '..'); add('a/b/victim', data=b'dead')`,
    `hard('h', '../victim'); add('h', data=b'dead')`,
    `link('l', '/proc/self/cwd'); add('l/victim', data=b'dead')`,
    `add('d', kind=tarfile.DIRTYPE); link('d', '/'); add('d/victim', data=b'dead')`,
  ];
  const add = chain(copy('/a.tar', '/in', { attemptUnpackDockerCompatibility: true }));
  make(`add('good', data=b'x'); link('l', '/'); add('l/inside', data=b'y')`);
  const good = await run(world, base, add);
  assert.equal(readdirSync(join(good, 'in')).sort(), ['good', 'inside', 'l']);
  for (const script of evil) {
    make(script);
    const out = await run(world, base, add).catch((error: unknown) =>
      assert.ok(error instanceof Error),
    );
    if (typeof out === 'string')
      assert.is(readFileSync(join(out, 'victim'), 'utf8'), 'alive', script);
    assert.is(readFileSync(join(world.outside, 'canary'), 'utf8'), 'alive', script);
  }
  assert.not(existsSync(join(world.outside, 'victim')));
});

test('names that mean a removal in a layer are refused with their path', async (world) => {
  const codeAndPath = async (...kinds: Kind[]) => {
    const error = await run(world, SCRATCH, chain(...kinds)).catch((thrown: unknown) => thrown);
    return error instanceof KilnError
      ? `${error.code} ${/^"([^"]*)"/.exec(error.message)?.[1]}`
      : error;
  };
  for (const name of ['.wh.', '.wh.passwd', '.wh..wh..opq', '.wh..']) {
    for (const make of [
      (path: string) => writeFileSync(path, ''),
      (path: string) => void mkdirSync(path),
      (path: string) => symlinkSync('x', path),
    ]) {
      mkdirSync(join(world.context, 'd/e'), { recursive: true });
      make(join(world.context, 'd/e', name));
      assert.is(await codeAndPath(copy('/', '/all')), `KILN_LAYER_NAME /all/d/e/${name}`);
      rmSync(join(world.context, 'd'), { recursive: true });
    }
    const place = `KILN_LAYER_NAME /in/${name}`;
    writeFileSync(join(world.context, 'f'), '');
    assert.is(await codeAndPath(copy('/f', `/in/${name}`)), place);
    assert.is(await codeAndPath(copy('/f', `/in/${name}/`)), place);
    assert.is(await codeAndPath(mkdir(`/in/${name}`)), place);
    assert.is(await codeAndPath(mkdir(`/in/${name}/below`)), place);
    assert.is(await codeAndPath(mkdir('/in'), mkfile(`/in/${name}`, '')), place);
    const unpack = copy('/a.tar', '/in', { attemptUnpackDockerCompatibility: true });
    for (const member of [
      { path: name, content: 'x' },
      { path: `${name}/`, type: 'directory' },
      { path: `${name}/f`, content: 'x' },
      { path: name, type: 'symlink', linkPath: 'x' },
    ] satisfies Member[]) {
      writeFileSync(join(world.context, 'a.tar'), archive(member));
      assert.is(await codeAndPath(unpack), place, JSON.stringify(member));
    }
  }
});

test('a device 0:0, which overlay takes for a removal, is not copied', async (world) => {
  execFileSync('mknod', [join(world.context, 'gone'), 'c', '0', '0']);
  await rejects(
    run(world, SCRATCH, chain(copy('/gone', '/in/'))),
    'KILN_LAYER_NAME',
    /"\/in\/gone"/,
  );
  rmSync(join(world.context, 'gone'));
  writeFileSync(join(world.context, 'a.tar'), archive({ path: 'gone', type: 'char' }));
  const unpack = chain(copy('/a.tar', '/in', { attemptUnpackDockerCompatibility: true }));
  await rejects(run(world, SCRATCH, unpack), 'KILN_ARCHIVE_DAMAGED', /0:0/);
});

test('an archive with values that the kernel refuses is damaged at an entry', async (world) => {
  const unpack = chain(copy('/a.tar', '/in', { attemptUnpackDockerCompatibility: true }));
  const xattr = (name: string, value: Buffer): Member => ({
    path: 'f',
    content: 'x',
    xattrs: new Map([[name, value]]),
  });
  const cases: [Member, RegExp][] = [
    [
      xattr('security.capability', Buffer.from('junk')),
      /"security\.capability" \(4 bytes\) of "f".*EINVAL/,
    ],
    [xattr(`user.${'n'.repeat(300)}`, Buffer.from('v')), /"user\.n+".*of "f".*ERANGE/],
    [xattr('user.big', Buffer.alloc(70_000)), /"user\.big" \(70000 bytes\) of "f".*E2BIG/],
    [{ path: 'n'.repeat(256), content: 'x' }, /"n+" cannot be made/],
    [{ path: `${'d/'.repeat(20)}${'n'.repeat(256)}`, content: 'x' }, /cannot be made/],
    [{ path: 'l', type: 'symlink', linkPath: 'x'.repeat(4096) }, /"l" cannot be made/],
    [{ path: 'l', type: 'symlink', linkPath: '' }, /"l" cannot be made/],
    [{ path: 'l', type: 'hardlink', linkPath: 'none' }, /hard link to "none"/],
  ];
  for (const [member, message] of cases) {
    writeFileSync(join(world.context, 'a.tar'), archive(member));
    await rejects(run(world, SCRATCH, unpack), 'KILN_ARCHIVE_DAMAGED', message);
    await rejects(run(world, SCRATCH, unpack), 'KILN_ARCHIVE_DAMAGED', /a\.tar/);
  }
  writeFileSync(
    join(world.context, 'a.tar'),
    archive(xattr('system.posix_acl_access', Buffer.from('junk'))),
  );
  assert.equal(readdirSync(join(await run(world, SCRATCH, unpack), 'in')), ['f']);
});

async function rejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KilnError, String(error));
  assert.is(error.code, code);
  assert.match(error.message, message);
}

const IMPOSSIBLE = {
  'links in a circle': [
    { path: 'l', type: 'symlink', linkPath: 'l' },
    { path: 'l/f', content: 'x' },
  ],
  'a name that is too long': [{ path: 'n'.repeat(256), content: 'x' }],
} satisfies Record<string, Member[]>;

for (const [name, members] of Object.entries<readonly Member[]>({ ...BREAKOUTS, ...IMPOSSIBLE })) {
  test(`an added archive stays inside: ${name}`, async (world) => {
    writeFileSync(join(world.outside, 'f'), 'alive');
    const before = listTree(world.outside);
    const base = world.snapshotter.add((at) => {
      mkdirSync(join(at, 'in/l'), { recursive: true });
      symlinkSync(world.outside, join(at, 'canary'));
    });
    writeFileSync(join(world.context, 'a.tar'), archive(...breakout(members, world.outside)));
    for (const dest of ['/in', '/', '/canary']) {
      const add = chain(copy('/a.tar', dest, { attemptUnpackDockerCompatibility: true }));
      const code = await run(world, base, add).then(
        () => undefined,
        (error: unknown) => (error instanceof KilnError ? error.code : String(error)),
      );
      assert.match(code ?? 'KILN_', /^KILN_/, `${dest}: an error is one of ours`);
      assert.equal(listTree(world.outside), before, dest);
    }
  });
}

const PREAMBLE = `
import io, sys, tarfile
b = io.BytesIO()
t = tarfile.open(fileobj=b, mode='w')
def add(name, data=b'', kind=tarfile.REGTYPE, target=''):
    i = tarfile.TarInfo(name); i.size = len(data); i.type = kind; i.linkname = target
    t.addfile(i, io.BytesIO(data)); t.fileobj.flush()
def link(name, target): add(name, kind=tarfile.SYMTYPE, target=target)
def hard(name, target): add(name, kind=tarfile.LNKTYPE, target=target)
import atexit`;

if (root) test.run();
else console.log('SKIP file op: owners can only be given by root');
