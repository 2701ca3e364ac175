import { globSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { programsOn } from './find-program.ts';
import { makeTree, processesWith, shell, specFor, until, whyNot } from './fixture.ts';
import type { NetworkKind } from './network/network.ts';
import { createExecutor } from './runtime-executor.ts';

/**
 * Many runs leave nothing behind. KILN_SOAK=1 makes 500 of them, one after the other, instead of
 * 25.
 */
const reason = whyNot();
if (reason) console.log(`SKIP soak: ${reason}`);

const test = suite('soak');
const ROUNDS = process.env['KILN_SOAK'] ? 500 : 25;
const AT_ONCE = 32;
const findProgram = programsOn(process.env['PATH']);
const KINDS: readonly NetworkKind[] = findProgram('nft') ? ['nat'] : ['host'];

/**
 * The resources of this process, and those of this host that are named after its directory. Some
 * names change from run to run, so such resources are counted.
 */
interface Held {
  readonly mounts: number;
  readonly descriptors: readonly string[];
  readonly children: number;
  readonly groups: number;
  readonly interfaces: number;
  readonly bundles: number;
}

function held(directory: string, mark: string): Held {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'latin1').trim();
  return {
    mounts: readFileSync('/proc/self/mountinfo', 'utf8').split(directory).length - 1,
    descriptors: readdirSync('/proc/self/fd').map(kindOf).toSorted(),
    children: children === '' ? 0 : children.split(' ').length,
    groups: globSync(`/sys/fs/cgroup/**/kiln-*${mark}*`).length,
    interfaces: readdirSync('/sys/class/net').filter((name) => name.startsWith(`kiln${mark}`))
      .length,
    bundles: globSync(`${directory}/state/*${mark}/kiln-*`).length,
  };
}

function kindOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, 'N');
  } catch {
    // The descriptor by which the directory was read.
    return 'gone';
  }
}

/** A step that leaves a connection, so that its network is not reused. */
const CONNECT =
  'busybox nc -l -p 4242 -e true & until busybox nc 127.0.0.1 4242 2>/dev/null; do :; done; wait';

async function many(run: (at: number) => Promise<unknown>): Promise<void> {
  await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => run(at)));
}

test(`${ROUNDS} runs in a row and ${AT_ONCE} at once, also cancelled, leak nothing`, async () => {
  using tree = makeTree();
  // Many runs share the tree, so no mount point may have to be made in it.
  for (const name of ['hosts', 'resolv.conf']) writeFileSync(tree.at(`etc/${name}`), '');
  const executor = createExecutor({ stateDir: tree.stateDir, networks: KINDS });
  // Makes as many networks as are ever needed at once before the first count.
  await many(() => shell(executor, tree.root, 'true'));
  const mark = readdirSync(tree.stateDir)
    .find((name) => /^\d/.test(name))!
    .slice(-6);
  const now = () => held(tree.directory, mark);
  const before = now();

  for (let round = 0; round < ROUNDS; round++) {
    const script = round % 5 === 0 && KINDS[0] === 'nat' ? CONNECT : 'true';
    assert.is((await shell(executor, tree.root, script)).exitCode, 0);
  }
  await many(async (at) =>
    assert.is((await shell(executor, tree.root, `exit ${at}`)).exitCode, at),
  );
  const sleeping = `83${process.pid}`;
  await many(async () => {
    const controller = new AbortController();
    const spec = specFor(tree.root, ['/bin/sh', '-c', `echo up; sleep ${sleeping}`]);
    await executor
      .run(spec, { output: () => controller.abort() }, controller.signal)
      .catch(() => {});
  });

  assert.equal(processesWith(sleeping), []);
  // Waits for what is made in the background and for the kernel.
  await until(() => JSON.stringify(now()) === JSON.stringify(before), 60);
  assert.equal(now(), before);
  await executor[Symbol.asyncDispose]();
  // The kernel removes interfaces some time after their namespace, those of the whole host one
  // after the other.
  await until(() => now().interfaces === 0, 60);
  const { mounts, children, groups, interfaces } = now();
  assert.equal(
    { mounts, children, groups, interfaces },
    { mounts: 0, children: 0, groups: 0, interfaces: 0 },
  );
});

if (!reason) test.run();
