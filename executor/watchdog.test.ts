import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeTree, processesWith, shell, type TestTree, until, whyNot } from './fixture.ts';
import { createExecutor } from './runtime-executor.ts';

const reason = whyNot();
if (reason) console.log(`SKIP watchdog: ${reason}`);

const test = suite('watchdog');
let count = 0;

async function withOrphans(
  use: (tree: TestTree, child: ChildProcess, mark: string) => Promise<void>,
): Promise<void> {
  using tree = makeTree();
  const mark = `9${process.pid}${++count}`;
  const script = new URL('./orphan.child.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, tree.stateDir, tree.root, mark], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [text] = (await once(child.stdout!, 'data')) as [Buffer];
  assert.is(text.toString(), 'ready\n');
  try {
    assert.ok(await until(() => sleepers(mark) === 6), 'all sandboxes sleep');
    await use(tree, child, mark);
  } finally {
    child.kill('SIGKILL');
  }
}

/** How many processes sleep for `mark` seconds. */
function sleepers(mark: string): number {
  return processesWith(`sleep\0${mark}\0`).length;
}

const directories = (tree: TestTree) =>
  readdirSync(tree.stateDir).filter((name) => /^\d/.test(name));
const sandboxes = (tree: TestTree) =>
  readdirSync(join(tree.stateDir, 'runtime')).filter((name) => name.startsWith('kiln'));

async function allGone(tree: TestTree, mark: string): Promise<void> {
  assert.ok(await until(() => processesWith(mark).length === 0), 'no process is left');
  assert.ok(await until(() => directories(tree).length === 0), 'no state is left');
  assert.equal(sandboxes(tree), []);
  // The program that has removed the state may still be ending.
  await until(() => processesWith(tree.stateDir).length === 0);
  assert.equal(processesWith(tree.stateDir), [], 'no runtime is left');
}

test('SIGKILL of the builder kills every sandbox and removes its state', async () => {
  await withOrphans(async (tree, child, mark) => {
    const groups = groupsOf(tree);
    child.kill('SIGKILL');
    await allGone(tree, mark);
    assert.equal(
      groups.filter((path) => existsSync(path)),
      [],
      'no control group is left',
    );
  });
});

test('the watchdog also cleans up after a builder that exits without disposing', async () => {
  await withOrphans(async (tree, child, mark) => {
    child.kill('SIGTERM');
    await allGone(tree, mark);
  });
});

test('sandboxes die with the builder even when the state was removed before', async () => {
  await withOrphans(async (tree, child, mark) => {
    rmSync(tree.stateDir, { recursive: true });
    child.kill('SIGKILL');
    assert.ok(await until(() => processesWith(mark).length === 0), 'no process is left');
    assert.ok(await until(() => processesWith(tree.stateDir).length === 0), 'no runtime is left');
  });
});

test('when builder and watchdog were both killed, the next start cleans up', async () => {
  await withOrphans(async (tree, child, mark) => {
    const watchdog = watchdogOf(child.pid ?? 0);
    process.kill(watchdog, 'SIGKILL');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.is(sleepers(mark), 6, 'the sandboxes are still there');
    assert.is(directories(tree).length, 1);
    await using next = createExecutor({ stateDir: tree.stateDir });
    assert.is((await shell(next, tree.root, 'echo works')).stdout, 'works\n');
    assert.ok(await until(() => processesWith(mark).length === 0), 'no process is left');
    assert.ok(await until(() => directories(tree).length === 1), 'only the new directory is left');
  });
});

test('a living builder is left alone', async () => {
  await withOrphans(async (tree, child, mark) => {
    {
      await using other = createExecutor({ stateDir: tree.stateDir });
      await shell(other, tree.root, 'true');
    }
    assert.is(sleepers(mark), 6);
    assert.is(directories(tree).length, 1);
    child.kill('SIGKILL');
    await allGone(tree, mark);
  });
});

function groupsOf(tree: TestTree): string[] {
  return directories(tree).flatMap((name) =>
    readFileSync(join(tree.stateDir, name, 'cgroups'), 'utf8')
      .split('\n')
      .filter(Boolean),
  );
}

/** The child of `pid` that runs the watchdog's script. */
function watchdogOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    .trim()
    .split(/\s+/)
    .map(Number);
  const found = children.find((child) =>
    readFileSync(`/proc/${child}/cmdline`, 'latin1').includes('collect()'),
  );
  assert.ok(found, 'the watchdog runs');
  return found;
}

if (!reason) test.run();
