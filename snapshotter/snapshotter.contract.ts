import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { CancelledError, KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import type { ContentStore } from './content.ts';
import {
  type ImageLayer,
  type LayerId,
  SCRATCH,
  type Snapshot,
  type Snapshotter,
} from './snapshotter.ts';

export interface SnapshotterUnderTest extends AsyncDisposable {
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  /** The directory that holds everything. Tests search it for files that should be gone. */
  readonly root: string;
  /** Opens another snapshotter on the same store, as another process would. */
  reopen(): Promise<SnapshotterUnderTest>;
  /**
   * Names in the space for work in progress, without those that stay for the life of the process or
   * are just being removed.
   */
  scratch(): string[];
}

export interface ContractOptions {
  readonly make: () => Promise<SnapshotterUnderTest>;
  /**
   * A module that, run as `node CHILD ROOT`, commits layers on the store at ROOT until it is
   * killed. Each layer holds the file `data` with its number 5,000 times, one per line. The module
   * prints each layer's id and number when `commit` has resolved.
   */
  readonly crashChild: string;
}

interface Context {
  subject: SnapshotterUnderTest;
  snapshotter: Snapshotter;
  content: ContentStore;
}

type Test = ReturnType<typeof suite<Context>>;

/** What every snapshotter must do. */
export function snapshotterContract(name: string, options: ContractOptions): void {
  const test = suite<Context>(name);
  test.before.each(async (context) => {
    context.subject = await options.make();
    context.snapshotter = context.subject.snapshotter;
    context.content = context.subject.content;
  });
  test.after.each(async (context) => await context.subject[Symbol.asyncDispose]());
  lifeTests(test);
  stackTests(test);
  describeTests(test);
  unpackTests(test);
  crashTests(test, options.crashChild);
  test.run();
}

/** Commits a layer on `parent`. `write` makes its content in the mounted tree. */
async function step(
  snapshotter: Snapshotter,
  parent: Snapshot,
  write: (root: string) => void,
): Promise<Snapshot> {
  await using active = await snapshotter.prepare(parent);
  write(active.root);
  return await active.commit();
}

/** The tree of a snapshot as sorted lines `path content`. */
async function treeOf(snapshotter: Snapshotter, snapshot: Snapshot): Promise<string[]> {
  await using view = await snapshotter.view(snapshot);
  const lines: string[] = [];
  const walk = (directory: string, prefix: string) => {
    for (const name of readdirSync(directory).sort()) {
      const path = join(directory, name);
      const stat = lstatSync(path);
      if (stat.isDirectory()) {
        lines.push(`${prefix}${name}/`);
        walk(path, `${prefix}${name}/`);
      } else if (stat.isFile()) lines.push(`${prefix}${name} ${readFileSync(path, 'utf8')}`);
      else if (stat.isSymbolicLink()) lines.push(`${prefix}${name} ->`);
      else lines.push(`${prefix}${name} special`);
    }
  };
  walk(view.root, '');
  return lines;
}

function lifeTests(test: Test): void {
  test('a view shows after commit what was written before it', async ({ snapshotter, subject }) => {
    const one = await step(snapshotter, SCRATCH, (root) => writeFileSync(join(root, 'a'), 'one'));
    const two = await step(snapshotter, one, (root) => writeFileSync(join(root, 'b'), 'two'));
    assert.is(two.layers.length, 2);
    assert.is(two.layers[0], one.layers[0]);
    assert.equal(await treeOf(snapshotter, one), ['a one']);
    assert.equal(await treeOf(snapshotter, two), ['a one', 'b two']);
    assert.ok(snapshotter.has(two));
    assert.equal(subject.scratch(), []);
  });

  test('an active snapshot that is not committed leaves nothing behind', async ({
    snapshotter,
    subject,
  }) => {
    let root: string;
    {
      await using active = await snapshotter.prepare(SCRATCH);
      root = active.root;
      mkdirSync(join(root, 'd'));
      writeFileSync(join(root, 'd', 'f'), 'x');
    }
    assert.not(existsSync(root));
    assert.equal(subject.scratch(), []);
  });

  test('disposal removes files of any name and mode', async ({ snapshotter, subject }) => {
    const base = await step(snapshotter, SCRATCH, (root) => mkdirSync(join(root, 'lower')));
    {
      await using active = await snapshotter.prepare(base);
      writeFileSync(
        Buffer.concat([Buffer.from(`${active.root}/`), Buffer.from([0xff, 0xfe, 0x0a])]),
        'not UTF-8',
      );
      let deep = active.root;
      for (let i = 0; i < 20; i++) mkdirSync((deep = join(deep, 'd'.repeat(100))));
      chmodSync(deep, 0);
      symlinkSync('/', join(active.root, 'link'));
      rmSync(join(active.root, 'lower'), { recursive: true });
    }
    assert.equal(subject.scratch(), []);
    assert.ok(existsSync('/etc/passwd'));
  });

  test('a snapshot can be committed only once', async ({ snapshotter }) => {
    await using active = await snapshotter.prepare(SCRATCH);
    await active.commit();
    let failed = false;
    await active.commit().catch(() => (failed = true));
    assert.ok(failed);
  });

  test('a view is read-only and remains until its last user disposes of it', async ({
    snapshotter,
  }) => {
    const one = await step(snapshotter, SCRATCH, (root) => writeFileSync(join(root, 'a'), 'one'));
    const first = await snapshotter.view(one);
    const second = await snapshotter.view(one);
    assert.throws(() => writeFileSync(join(first.root, 'a'), 'two'));
    assert.throws(() => writeFileSync(join(first.root, 'b'), 'two'));
    await first[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
    assert.is(readFileSync(join(second.root, 'a'), 'utf8'), 'one');
    await second[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
    await using third = await snapshotter.view(one);
    assert.is(readFileSync(join(third.root, 'a'), 'utf8'), 'one');
  });

  test('only a few unused views are kept', async ({ snapshotter }) => {
    const roots: string[] = [];
    for (let i = 0; i < 20; i++) {
      const one = await step(snapshotter, SCRATCH, (root) =>
        writeFileSync(join(root, 'a'), String(i)),
      );
      await using view = await snapshotter.view(one);
      roots.push(view.root);
      assert.is(readFileSync(join(view.root, 'a'), 'utf8'), String(i));
    }
    assert.ok(new Set(roots.filter((root) => existsSync(join(root, 'a')))).size < 10);
  });

  test('squashed layers show the same tree in one layer, without temporary files', async ({
    snapshotter,
  }) => {
    const base = await step(snapshotter, SCRATCH, (root) => {
      for (const name of ['kept', 'gone']) writeFileSync(join(root, name), name);
      mkdirSync(join(root, 'emptied'));
      writeFileSync(join(root, 'emptied/old'), 'old');
    });
    const one = await step(snapshotter, base, (root) => {
      rmSync(join(root, 'gone'));
      writeFileSync(join(root, 'passing'), 'passing');
      writeFileSync(join(root, 'a'), 'a');
      linkSync(join(root, 'a'), join(root, 'b'));
    });
    const two = await step(snapshotter, one, (root) => {
      rmSync(join(root, 'passing'));
      rmSync(join(root, 'emptied'), { recursive: true });
      mkdirSync(join(root, 'emptied'), 0o700);
      writeFileSync(join(root, 'emptied/new'), 'new');
    });
    const signal = new AbortController().signal;
    const squashed = await snapshotter.squash(two, 1, signal);
    assert.equal(squashed.layers.slice(0, -1), base.layers);
    assert.equal(await treeOf(snapshotter, squashed), await treeOf(snapshotter, two));
    const top = snapshotter.directories(squashed.layers[1]!)[0]!;
    assert.equal(readdirSync(top).sort(), ['a', 'b', 'emptied', 'gone']);
    assert.is(lstatSync(join(top, 'a')).ino, lstatSync(join(top, 'b')).ino);
    assert.is(await snapshotter.squash(one, 1, signal), one, 'a single layer is not squashed');
    const whole = await snapshotter.squash(two, 0, signal);
    assert.is(whole.layers.length, 1);
    assert.equal(await treeOf(snapshotter, whole), await treeOf(snapshotter, two));
    assert.equal(readdirSync(snapshotter.directories(whole.layers[0]!)[0]!).sort(), [
      'a',
      'b',
      'emptied',
      'kept',
    ]);
  });

  test('the next process finds committed layers', async ({ snapshotter, subject }) => {
    const one = await step(snapshotter, SCRATCH, (root) => writeFileSync(join(root, 'a'), 'one'));
    await using again = await subject.reopen();
    assert.ok(again.snapshotter.has(one));
    assert.equal(await treeOf(again.snapshotter, one), ['a one']);
  });

  test('a stack with an unknown layer is not in the store and cannot be used', async ({
    snapshotter,
  }) => {
    const unknown = { layers: ['0'.repeat(32) as LayerId] };
    assert.not(snapshotter.has(unknown));
    assert.ok(snapshotter.has(SCRATCH));
    for (const use of [
      () => snapshotter.prepare(unknown),
      () => snapshotter.view(unknown),
      () => snapshotter.describe(unknown.layers[0]!),
    ]) {
      await rejects('KILN_LAYER_MISSING', use());
    }
  });
}

function stackTests(test: Test): void {
  test('a removed file and a replaced directory hide what is below, in tree and views', async ({
    snapshotter,
  }) => {
    const base = await step(snapshotter, SCRATCH, (root) => {
      mkdirSync(join(root, 'd'));
      for (const name of ['gone', 'kept', 'd/old']) writeFileSync(join(root, name), name);
    });
    const next = await step(snapshotter, base, (root) => {
      rmSync(join(root, 'gone'));
      rmSync(join(root, 'd'), { recursive: true });
      mkdirSync(join(root, 'd'));
      writeFileSync(join(root, 'd/new'), 'new');
    });
    const expected = ['d/', 'd/new new', 'kept kept'];
    assert.equal(await treeOf(snapshotter, next), expected);
    // A view of the difference alone shows what it adds, and nothing of how it is stored.
    assert.equal(await treeOf(snapshotter, { layers: next.layers.slice(1) }), ['d/', 'd/new new']);
    const again = await step(snapshotter, next, (root) =>
      writeFileSync(join(root, 'gone'), 'back'),
    );
    assert.equal(await treeOf(snapshotter, again), ['d/', 'd/new new', 'gone back', 'kept kept']);
  });

  test('a replacer makes the same layers as any other writer', async ({ snapshotter }) => {
    const old = 1_600_000_000;
    const base = await step(snapshotter, SCRATCH, (root) => {
      mkdirSync(join(root, 'd'));
      for (const name of ['replaced', 'gone', 'kept', 'd/inner', 'd/kept'])
        writeFileSync(join(root, name), name);
    });
    const change = (root: string) => {
      for (const name of ['replaced', 'd/inner', 'gone']) rmSync(join(root, name));
      for (const name of ['replaced', 'd/inner', 'new']) writeFileSync(join(root, name), 'new');
      chmodSync(join(root, 'd'), 0o700);
      for (const name of ['replaced', 'd/inner', 'new', 'd', '.'])
        utimesSync(join(root, name), old, old);
    };
    const byAnyone = await step(snapshotter, base, change);
    await using active = await snapshotter.prepare(base, 'replacer');
    change(active.root);
    const replaced = await active.commit();
    const [one, two] = await Promise.all(
      [byAnyone, replaced].map((next) => snapshotter.describe(next.layers[1]!)),
    );
    assert.equal(one, two);
    const expected = ['d/', 'd/inner new', 'd/kept d/kept', 'kept kept', 'new new', 'replaced new'];
    assert.equal(await treeOf(snapshotter, replaced), expected);
    assert.equal(await treeOf(snapshotter, base), [
      'd/',
      'd/inner d/inner',
      'd/kept d/kept',
      'gone gone',
      'kept kept',
      'replaced replaced',
    ]);
  });

  test('a file written in place changes only in the new layer, under all its names', async ({
    snapshotter,
  }) => {
    const base = await step(snapshotter, SCRATCH, (root) => {
      writeFileSync(join(root, 'a'), 'old');
      linkSync(join(root, 'a'), join(root, 'b'));
    });
    await using view = await snapshotter.view(base);
    const next = await step(snapshotter, base, (root) => {
      writeFileSync(join(root, 'a'), 'new', { flag: 'r+' });
      chmodSync(join(root, 'a'), 0o600);
    });
    assert.equal(await treeOf(snapshotter, next), ['a new', 'b old']);
    assert.equal(await treeOf(snapshotter, base), ['a old', 'b old']);
    assert.is(readFileSync(join(view.root, 'a'), 'utf8'), 'old');
    assert.is((lstatSync(join(view.root, 'a')).mode & 0o777) === 0o600, false);
  });

  test('two names of one file remain one file', async ({ snapshotter }) => {
    const one = await step(snapshotter, SCRATCH, (root) => {
      writeFileSync(join(root, 'a'), 'x');
      linkSync(join(root, 'a'), join(root, 'b'));
    });
    await using view = await snapshotter.view(one);
    assert.is(statSync(join(view.root, 'a')).ino, statSync(join(view.root, 'b')).ino);
    // A tree of hard links to the layer gives the file more names than the tree shows.
    assert.ok(statSync(join(view.root, 'a')).nlink >= 2);
  });

  test('a stack of 200 layers can be read and written', async ({ snapshotter }) => {
    let snapshot: Snapshot = SCRATCH;
    for (let i = 0; i < 200; i++) {
      snapshot = await step(snapshotter, snapshot, (root) => {
        writeFileSync(join(root, `f${i}`), String(i));
        writeFileSync(join(root, 'last'), String(i));
      });
    }
    const tree = await treeOf(snapshotter, snapshot);
    assert.is(tree.length, 201);
    assert.ok(tree.includes('f0 0'));
    assert.ok(tree.includes('last 199'));
  });

  test('a merge of stacks shows both, the later one on top, even when they share layers', async ({
    snapshotter,
  }) => {
    const base = await step(snapshotter, SCRATCH, (root) =>
      writeFileSync(join(root, 'base'), 'base'),
    );
    const left = await step(snapshotter, base, (root) => {
      writeFileSync(join(root, 'left'), 'left');
      writeFileSync(join(root, 'both'), 'left');
    });
    const right = await step(snapshotter, base, (root) => {
      writeFileSync(join(root, 'right'), 'right');
      writeFileSync(join(root, 'both'), 'right');
    });
    const merged = { layers: [...left.layers, ...right.layers] };
    assert.equal(await treeOf(snapshotter, merged), [
      'base base',
      'both right',
      'left left',
      'right right',
    ]);
    const onTop = await step(snapshotter, merged, (root) => rmSync(join(root, 'both')));
    assert.equal(await treeOf(snapshotter, onTop), ['base base', 'left left', 'right right']);
  });

  test('a stack on other layers hides what it hid of its own, and nothing else', async ({
    snapshotter,
  }) => {
    const made = await step(snapshotter, SCRATCH, (root) => {
      mkdirSync(join(root, 'd/sub'), { recursive: true });
      for (const name of ['d/old', 'd/kept', 'd/sub/old']) writeFileSync(join(root, name), '1');
    });
    const again = await step(snapshotter, made, (root) => {
      rmSync(join(root, 'd'), { recursive: true });
      mkdirSync(join(root, 'd/sub'), { recursive: true });
      for (const name of ['d/kept', 'd/sub/new']) writeFileSync(join(root, name), '2');
    });
    const other = await step(snapshotter, SCRATCH, (root) => {
      mkdirSync(join(root, 'd/sub'), { recursive: true });
      for (const name of ['d/old', 'd/other', 'd/sub/other']) writeFileSync(join(root, name), '3');
    });
    const moved = await snapshotter.movable(again);
    assert.equal(await treeOf(snapshotter, moved), await treeOf(snapshotter, again));
    assert.equal(await treeOf(snapshotter, { layers: [...other.layers, ...moved.layers] }), [
      ...['d/', 'd/kept 2', 'd/other 3'],
      ...['d/sub/', 'd/sub/new 2', 'd/sub/other 3'],
    ]);
    assert.equal(await snapshotter.movable(moved), moved);
  });
}

function describeTests(test: Test): void {
  test('a new version of a layer shows, describes and stacks as a layer of its own would', async ({
    snapshotter,
  }) => {
    const time = new Date(1_600_000_000_000);
    const write = (root: string, name: string, text: string) => {
      writeFileSync(join(root, name), text);
      utimesSync(join(root, name), time, time);
    };
    const dated = (root: string, ...names: string[]) => {
      for (const name of names) utimesSync(join(root, name), time, time);
    };
    const first = (root: string) => {
      mkdirSync(join(root, 'd/e'), { recursive: true });
      for (const name of ['d/e/a', 'd/e/b', 'd/c']) write(root, name, name);
      dated(root, 'd/e', 'd');
    };
    const change = (root: string) => {
      rmSync(join(root, 'd/e/b'));
      write(root, 'd/e/b', 'changed');
      mkdirSync(join(root, 'd/new/deep'), { recursive: true });
      write(root, 'd/new/deep/f', 'f');
      chmodSync(join(root, 'd/e'), 0o711);
      dated(root, 'd/new/deep', 'd/new', 'd/e', 'd');
    };
    const below = await step(snapshotter, SCRATCH, (root) => write(root, 'below', 'below'));
    const base = await step(snapshotter, below, first);
    const whole = await step(snapshotter, below, (root) => {
      first(root);
      change(root);
    });
    const active = await snapshotter.revise(below, base.layers[1]!);
    if (!active) return assert.is(snapshotter.directories(base.layers[1]!).length, 1);
    await using _active = active;
    change(active.root);
    const version = await active.commit();
    assert.equal(version.layers.slice(0, 1), below.layers);
    assert.equal(await treeOf(snapshotter, version), await treeOf(snapshotter, whole));
    const [made, other] = [version.layers[1]!, whole.layers[1]!];
    assert.equal(await snapshotter.describe(made), await snapshotter.describe(other));
    const [clamped, otherClamped] = [made, other].map((id) =>
      snapshotter.packedAs(id, { clamp: 1_500_000_000 }),
    );
    assert.equal(
      await snapshotter.describe(clamped!),
      await snapshotter.describe(otherClamped!),
      'with its times clamped, too',
    );
    // It hides nothing of another tree.
    const elsewhere = await step(snapshotter, SCRATCH, (root) => {
      mkdirSync(join(root, 'd/new/deep'), { recursive: true });
      write(root, 'd/new/deep/own', 'own');
    });
    assert.equal(
      await treeOf(snapshotter, { layers: [...elsewhere.layers, made] }),
      await treeOf(snapshotter, { layers: [...elsewhere.layers, other] }),
    );
    assert.is(await snapshotter.revise(below, made), undefined, 'a version has no versions');
    // What it stands on is gone: so is it.
    snapshotter.discard(base.layers[1]!);
    assert.not(snapshotter.has(version));
    assert.equal(snapshotter.directories(made), []);
  });

  test('a version that removes something is refused', async ({ snapshotter }) => {
    const base = await step(snapshotter, SCRATCH, (root) => writeFileSync(join(root, 'a'), 'a'));
    const active = await snapshotter.revise(SCRATCH, base.layers[0]!);
    if (!active) return assert.is(snapshotter.directories(base.layers[0]!).length, 1);
    await using _active = active;
    rmSync(join(active.root, 'a'));
    const refused = await active.commit().catch((error: unknown) => error);
    assert.match(String(refused), 'removed or hid something');
  });

  test('equal layers have equal tars, and different layers have different tars', async ({
    snapshotter,
  }) => {
    const write = (content: string) => (root: string) => {
      writeFileSync(join(root, 'a'), content);
      mkdirSync(join(root, 'd'), { mode: 0o755 });
    };
    const [one, two] = await Promise.all([
      step(snapshotter, SCRATCH, write('x')),
      step(snapshotter, SCRATCH, write('y')),
    ]);
    const [a, b] = await Promise.all([
      snapshotter.describe(one.layers[0]!),
      snapshotter.describe(two.layers[0]!),
    ]);
    assert.is.not(a.diffId, b.diffId);
    assert.ok(a.tarSize > 0 && a.tarSize % 512 === 0);
    assert.not(a.empty);
    assert.is(snapshotter.find(a.diffId), one.layers[0]);
    assert.equal(await snapshotter.describe(one.layers[0]!), a);
  });

  test('an untouched layer is a layer, and is known to be empty', async ({ snapshotter }) => {
    const one = await step(snapshotter, SCRATCH, (root) => writeFileSync(join(root, 'a'), 'x'));
    const two = await step(snapshotter, one, () => undefined);
    assert.is(two.layers.length, 2);
    assert.ok((await snapshotter.describe(two.layers[1]!)).empty);
  });

  test('trees above and among empty layers are as without them', async ({ snapshotter }) => {
    const below = await step(snapshotter, SCRATCH, (root) => writeFileSync(join(root, 'a'), '1'));
    const empty = await step(snapshotter, below, () => undefined);
    await snapshotter.describe(empty.layers[1]!);
    const above = await step(snapshotter, empty, (root) => {
      assert.is(readFileSync(join(root, 'a'), 'utf8'), '1');
      rmSync(join(root, 'a'));
      writeFileSync(join(root, 'b'), '2');
    });
    assert.is(above.layers.length, 3);
    assert.equal(await treeOf(snapshotter, above), ['b 2']);
    assert.equal(await treeOf(snapshotter, empty), ['a 1']);
    // The root has the mode of the topmost layer, also where nothing is in it.
    const mode = async (snapshot: Snapshot) => {
      await using view = await snapshotter.view(snapshot);
      return statSync(view.root).mode & 0o7777;
    };
    assert.is(await mode(empty), await mode(above));
    const alone = await step(snapshotter, SCRATCH, () => undefined);
    await snapshotter.describe(alone.layers[0]!);
    const first = await step(snapshotter, alone, (root) => writeFileSync(join(root, 'c'), '3'));
    assert.equal(await treeOf(snapshotter, first), ['c 3']);
  });

  test('a layer holds only what differs from the layers below', async ({ snapshotter }) => {
    const old = 1_600_000_000;
    const base = await step(snapshotter, SCRATCH, (root) => {
      mkdirSync(join(root, 'd'));
      writeFileSync(join(root, 'd', 'f'), 'x');
      utimesSync(join(root, 'd'), old, old);
    });
    const next = await step(snapshotter, base, (root) => {
      for (const name of ['d/passing', 'passing']) {
        writeFileSync(join(root, name), 'x');
        rmSync(join(root, name));
      }
      utimesSync(join(root, 'd'), old, old);
    });
    assert.ok((await snapshotter.describe(next.layers[1]!)).empty);
  });

  test('a directory that was only used for a while is in no layer, unless it changed', async ({
    snapshotter,
  }) => {
    const base = await step(snapshotter, SCRATCH, (root) => {
      for (const name of ['etc', 'gone']) mkdirSync(join(root, name), { mode: 0o755 });
      writeFileSync(join(root, 'etc', 'f'), 'x');
    });
    const middle = await step(snapshotter, base, (root) => {
      chmodSync(join(root, 'etc'), 0o700);
      rmSync(join(root, 'gone'), { recursive: true });
    });
    const use = (root: string) => {
      writeFileSync(join(root, 'etc', 'passing'), 'x');
      rmSync(join(root, 'etc', 'passing'));
    };
    const used = await step(snapshotter, middle, use);
    assert.ok((await snapshotter.describe(used.layers[2]!)).empty);
    assert.equal(await treeOf(snapshotter, used), ['etc/', 'etc/f x']);
    const beside = await step(snapshotter, used, (root) => {
      use(root);
      writeFileSync(join(root, 'new'), 'n');
      mkdirSync(join(root, 'made'));
    });
    assert.equal(readdirSync(snapshotter.directories(beside.layers[3]!)[0]!).sort(), [
      'made',
      'new',
    ]);
    const replaced = await step(snapshotter, beside, (root) => {
      use(root);
      writeFileSync(join(root, 'new'), 'other');
      rmSync(join(root, 'made'), { recursive: true });
    });
    assert.equal(await treeOf(snapshotter, replaced), ['etc/', 'etc/f x', 'new other']);
    const changed = await step(snapshotter, used, (root) => {
      use(root);
      chmodSync(join(root, 'etc'), 0o755);
    });
    assert.not((await snapshotter.describe(changed.layers[3]!)).empty);
    const again = await step(snapshotter, changed, (root) => mkdirSync(join(root, 'gone')));
    assert.equal(await treeOf(snapshotter, again), ['etc/', 'etc/f x', 'gone/']);
    const anew = await step(snapshotter, again, (root) => {
      rmSync(join(root, 'etc'), { recursive: true });
      mkdirSync(join(root, 'etc'), { mode: 0o755 });
    });
    assert.equal(await treeOf(snapshotter, anew), ['etc/', 'gone/']);
  });

  test('the description of a layer is kept', async ({ snapshotter, subject }) => {
    const one = await step(snapshotter, SCRATCH, (root) => writeFileSync(join(root, 'a'), 'x'));
    const info = await snapshotter.describe(one.layers[0]!);
    await using again = await subject.reopen();
    assert.is(again.snapshotter.find(info.diffId), one.layers[0]);
    assert.equal(await again.snapshotter.describe(one.layers[0]!), info);
  });
}

/** A tar entry of one of the few kinds that the tests need (POSIX ustar). */
export interface Entry {
  readonly name: string;
  readonly type?: 'file' | 'directory' | 'hardlink' | 'symlink';
  readonly content?: string;
  readonly link?: string;
}

/** A ustar archive, written by hand so that the tests do not depend on Kiln's code. */
export function ustar(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap((entry) => {
    const type = { file: '0', hardlink: '1', symlink: '2', directory: '5' }[entry.type ?? 'file'];
    const content = Buffer.from(entry.content ?? '');
    const header = Buffer.alloc(512);
    header.write(entry.name, 0, 100);
    header.write(entry.type === 'directory' ? '0000755\0' : '0000644\0', 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('14371537400\0', 136);
    header.write('        ', 148);
    header.write(type, 156);
    header.write(entry.link ?? '', 157, 100);
    header.write('ustar\x0000', 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function stored(content: ContentStore, entries: readonly Entry[]): ImageLayer {
  const tar = ustar(entries);
  return { diffId: digestOf(tar), blob: content.put(tar), mediaType: MEDIA.ociLayer };
}

/** A layer whose blob the store does not have. */
function unstored(): { readonly tar: Buffer; readonly layer: ImageLayer } {
  const tar = ustar([
    { name: 'a', content: 'aaaa' },
    { name: 'b', content: 'b' },
  ]);
  const digest = digestOf(tar);
  return { tar, layer: { diffId: digest, blob: digest, mediaType: MEDIA.ociLayer } };
}

function unpackTests(test: Test): void {
  test('the layers of an image unpack alone and at once, and show what their tars hold', async ({
    snapshotter,
    content,
    subject,
  }) => {
    const base = stored(content, [
      { name: './', type: 'directory' },
      { name: 'd/', type: 'directory' },
      { name: 'd/a', content: 'a' },
      { name: 'd/b', content: 'b' },
      { name: 'o/', type: 'directory' },
      { name: 'o/hidden', content: 'hidden' },
      { name: 'hard', type: 'hardlink', link: 'd/a' },
    ]);
    const top = stored(content, [
      { name: 'd/', type: 'directory' },
      { name: 'd/.wh.b' },
      { name: 'o/', type: 'directory' },
      { name: 'o/.wh..wh..opq' },
      { name: 'o/shown', content: 'shown' },
    ]);
    const [lower, upper] = await Promise.all([
      snapshotter.unpack(base, SCRATCH),
      snapshotter.unpack(top, SCRATCH),
    ]);
    const tree = ['d/', 'd/a a', 'hard a', 'o/', 'o/shown shown'];
    assert.equal(await treeOf(snapshotter, { layers: [lower, upper] }), tree);
    assert.is(snapshotter.find(base.diffId), lower);
    assert.equal(await snapshotter.describe(lower), {
      diffId: base.diffId,
      tarSize: ustarSize(content, base),
      empty: false,
    });
    assert.is(await snapshotter.unpack(base, SCRATCH), lower);
    await using again = await subject.reopen();
    assert.equal(await treeOf(again.snapshotter, { layers: [lower, upper] }), tree);
    assert.equal(subject.scratch(), []);
  });

  test('a layer is unpacked while its blob arrives, and visible when it has arrived', async ({
    snapshotter,
    content,
    subject,
  }) => {
    const { tar, layer } = unstored();
    using writer = content.writer(layer.blob);
    writer.write(tar.subarray(0, 1000));
    const unpacking = snapshotter.unpackArriving(layer, tar.length);
    writer.write(tar.subarray(1000));
    await new Promise((done) => setTimeout(done, 50));
    assert.is(snapshotter.find(layer.diffId), undefined);
    writer.commit({ digest: layer.blob });
    const id = await unpacking;
    assert.ok(id);
    assert.is(snapshotter.find(layer.diffId), id);
    assert.is(await snapshotter.unpack(layer, SCRATCH), id);
    assert.equal(await treeOf(snapshotter, { layers: [id] }), ['a aaaa', 'b b']);
    assert.equal(subject.scratch(), []);
  });

  test('nothing remains of a layer whose blob is given up, damaged or not for it alone', async ({
    snapshotter,
    content,
    subject,
  }) => {
    const { tar, layer } = unstored();
    assert.is(await snapshotter.unpackArriving(layer, tar.length), undefined);
    const cases: [ImageLayer, Buffer, number][] = [
      [layer, tar, 1000],
      [layer, Buffer.from(tar).fill('b', 512, 516), tar.length],
      [{ ...layer, diffId: digestOf('another tar') }, tar, tar.length],
    ];
    for (const [wanted, bytes, end] of cases) {
      const writer = content.writer(wanted.blob);
      writer.write(bytes.subarray(0, 600));
      const unpacking = snapshotter.unpackArriving(wanted, tar.length);
      writer.write(bytes.subarray(600, end));
      try {
        if (end === tar.length) writer.commit({ digest: wanted.blob });
      } catch (error) {
        assert.is((error as KilnError).code, 'KILN_DIGEST_MISMATCH');
      }
      writer[Symbol.dispose]();
      assert.is(await unpacking, undefined);
      assert.is(snapshotter.find(wanted.diffId), undefined);
      assert.equal(subject.scratch(), []);
    }
  });

  test('callers that unpack one layer at once share the work', async ({ snapshotter, content }) => {
    const layer = stored(content, [{ name: 'a', content: 'a' }]);
    const ids = await Promise.all([1, 2, 3].map(() => snapshotter.unpack(layer, SCRATCH)));
    assert.is(new Set(ids).size, 1);
  });

  test('a layer with a link into a lower layer is unpacked above it, never alone', async ({
    snapshotter,
    content,
  }) => {
    const base = stored(content, [
      { name: 'd/', type: 'directory' },
      { name: 'd/a', content: 'a' },
    ]);
    const top = stored(content, [{ name: 'd/linked', type: 'hardlink', link: 'd/a' }]);
    const lower = await snapshotter.unpack(base, SCRATCH);
    const upper = await snapshotter.unpack(top, { layers: [lower] });
    assert.equal(await treeOf(snapshotter, { layers: [lower, upper] }), [
      'd/',
      'd/a a',
      'd/linked a',
    ]);
    assert.is(snapshotter.find(top.diffId), undefined);
    assert.is(await snapshotter.unpack(top, { layers: [lower] }), upper);
  });

  test('a layer whose bytes differ from its diffID never becomes visible', async ({
    snapshotter,
    content,
    subject,
  }) => {
    const layer = stored(content, [{ name: 'a', content: 'a' }]);
    const other = { ...layer, diffId: digestOf('another tar') };
    await rejects('KILN_DIGEST_MISMATCH', snapshotter.unpack(other, SCRATCH));
    assert.is(snapshotter.find(other.diffId), undefined);
    assert.equal(subject.scratch(), []);
  });

  test('a layer made elsewhere is one of a step, unless its files give another tar', async ({
    snapshotter,
    content,
    subject,
  }) => {
    const below = { layers: [] };
    const signal = new AbortController().signal;
    const layer = stored(content, [{ name: 'a', content: 'a' }]);
    const id = await snapshotter.unpackMade(layer, below, signal);
    assert.equal(await treeOf(snapshotter, { layers: [id] }), ['a a']);
    assert.is((await snapshotter.describe(id)).diffId, layer.diffId);
    const other = { ...layer, diffId: digestOf('another tar') };
    await rejects('KILN_DIGEST_MISMATCH', snapshotter.unpackMade(other, below, signal));
    assert.equal(subject.scratch(), []);
  });

  test('an aborted unpack leaves nothing behind and can be repeated', async ({
    snapshotter,
    content,
    subject,
  }) => {
    const layer = stored(content, [{ name: 'a', content: 'a' }]);
    const abort = new AbortController();
    const waiting = snapshotter.unpack(layer, SCRATCH, abort.signal);
    abort.abort();
    let error: unknown;
    await waiting.catch((thrown) => (error = thrown));
    assert.instance(error, CancelledError);
    assert.equal(subject.scratch(), []);
    assert.ok(await snapshotter.unpack(layer, SCRATCH));
  });
}

function ustarSize(content: ContentStore, layer: ImageLayer): number {
  return content.size(layer.blob) ?? 0;
}

function crashTests(test: Test, child: string): void {
  test('a process that is killed while it commits leaves only complete layers', async ({
    snapshotter,
    subject,
  }) => {
    // A layer is complete when it has the expected bytes.
    const expected = (number: string) =>
      createHash('sha256').update(`${number}\n`.repeat(5000)).digest('hex');
    for (const after of [1, 2, 5, 9]) {
      const committed = await killAfter(child, subject.root, after);
      assert.ok(committed.length >= after);
      await using again = await subject.reopen();
      for (const { id, number } of committed) {
        const snapshot = { layers: [id] };
        assert.ok(again.snapshotter.has(snapshot), `layer ${id} was committed and is gone`);
        await using view = await again.snapshotter.view(snapshot);
        assert.is(
          createHash('sha256')
            .update(readFileSync(join(view.root, 'data')))
            .digest('hex'),
          expected(number),
        );
      }
    }
    assert.ok(snapshotter.has(SCRATCH));
  });
}

/**
 * Starts the child and kills it as soon as it has reported `count` commits, which is somewhere in
 * the next one.
 */
async function killAfter(
  child: string,
  root: string,
  count: number,
): Promise<{ id: LayerId; number: string }[]> {
  const running = spawn(process.execPath, [child, root], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  running.stdout.setEncoding('utf8');
  for await (const chunk of running.stdout) {
    output += chunk;
    if (output.split('\n').length > count) running.kill('SIGKILL');
  }
  // The last line may be torn.
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => ({ id: line.split(' ')[0] as LayerId, number: line.split(' ')[1] ?? '' }));
}

async function rejects(code: string, promise: Promise<unknown>): Promise<void> {
  let error: unknown;
  await promise.catch((thrown) => (error = thrown));
  assert.instance(error, KilnError);
  assert.is((error as KilnError).code, code);
}
