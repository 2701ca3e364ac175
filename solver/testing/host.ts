import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createContentHasher } from '../../cache/contenthash/hasher.ts';
import { createCacheMounts } from '../../cache/mounts.ts';
import type { Executor, ProcessSpec } from '../../executor/executor.ts';
import type { ContentStore } from '../../snapshotter/content.ts';
import { openServices } from '../../snapshotter/overlay/services.ts';
import type { LayerPacker } from '../../snapshotter/packer.ts';
import { SCRATCH, type Snapshotter } from '../../snapshotter/snapshotter.ts';
import { openStore } from '../../snapshotter/store/root.ts';
import type { BuildResult } from '../result.ts';
import { perSession } from '../step-session.ts';
import type { World } from '../world.ts';

/**
 * One command of a fake process. Gets its arguments, the process specification and a function that
 * writes to its output. Returns an exit code; anything that is not a number counts as 0.
 */
export type Command = (
  words: readonly string[],
  step: {
    readonly spec: ProcessSpec;
    readonly signal: AbortSignal;
    readonly print: (text: string) => void;
  },
) => unknown;

/**
 * A host for tests. It has a real store, in which trees are directories of copies, so that no
 * mounts and no privileges are needed. Processes run without a sandbox.
 */
export interface TestHost extends AsyncDisposable {
  readonly world: World;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly packer: LayerPacker;
  /** An empty directory that only this host uses. */
  readonly scratch: string;
  tree(make: (root: string) => void): Promise<BuildResult>;
  /** The contents of the files of a result, by path. */
  files(result: BuildResult | undefined): Promise<Readonly<Record<string, string>>>;
}

/**
 * Makes a test host. Each argument of a process is one command: `write PATH TEXT`, `append PATH
 * TEXT`, `print TEXT`, `cat PATH`, `variable NAME PATH` (writes the value of a variable to PATH),
 * `mounted TARGET PATH` (copies a mounted file to PATH), `exit CODE`, `hang`, or one of `commands`.
 */
export async function testHost(
  commands: Readonly<Record<string, Command>> = {},
  more: Partial<World> = {},
): Promise<TestHost> {
  const home = mkdtempSync(join(tmpdir(), 'kiln-host-'));
  const store = openStore(join(home, 'store'));
  await store.swept;
  writeFileSync(join(home, 'store/snapshotter'), 'copy socket told so by a test\n');
  const { content, forms, snapshotter, packer } = openServices(store);
  const scratch = join(home, 'scratch');
  mkdirSync(scratch);
  const place = (name: string) => {
    mkdirSync(join(home, name), { recursive: true });
    return join(home, name);
  };
  const unused = (name: string) => () => {
    throw new Error(`no test here uses ${name}`);
  };
  let secrets = 0;
  const world: World = {
    snapshotter,
    executor: shell({ ...COMMANDS, ...commands }),
    hasher: perSession(() => createContentHasher({ directory: place('statcache') })),
    images: unused('images'),
    platform: { os: 'linux', architecture: 'amd64' },
    forms,
    caches: createCacheMounts(place('caches')),
    secretDirectory: () => ({ path: place(`secrets/${secrets++}`), [Symbol.dispose]: () => {} }),
    ...more,
  };
  return {
    world,
    snapshotter,
    content,
    packer,
    scratch,
    async tree(make) {
      await using active = await snapshotter.prepare(SCRATCH);
      make(active.root);
      return { kind: 'snapshot', snapshot: await active.commit() };
    },
    async files(result) {
      if (result?.kind !== 'snapshot') throw new Error('not a snapshot');
      await using view = await snapshotter.view(result.snapshot);
      return filesIn(view.root);
    },
    async [Symbol.asyncDispose]() {
      await snapshotter[Symbol.asyncDispose]();
      store.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

function filesIn(root: string): Record<string, string> {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' }).sort();
  const files = names.filter((name) => statSync(join(root, name)).isFile());
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(root, name), 'utf8')]));
}

const COMMANDS: Readonly<Record<string, Command>> = {
  write: ([path = '', ...text], { spec }) => writeFileSync(join(spec.rootfs, path), text.join(' ')),
  append: ([path = '', ...text], { spec }) =>
    writeFileSync(join(spec.rootfs, path), text.join(' '), { flag: 'a' }),
  print: (words, { print }) => print(`${words.join(' ')}\n`),
  cat: ([path = ''], { spec, print }) => print(readFileSync(join(spec.rootfs, path), 'utf8')),
  variable([name = '', path = ''], { spec }) {
    const entry = [...spec.env, ...(spec.secretEnv ?? [])].find((text) =>
      text.startsWith(`${name}=`),
    );
    writeFileSync(join(spec.rootfs, path), entry?.slice(name.length + 1) ?? 'unset');
  },
  mounted([target = '', path = ''], { spec }) {
    const mount = spec.mounts.find((one) => one.target === target);
    const text = mount?.kind === 'bind' ? readFileSync(mount.source, 'utf8') : 'nothing';
    writeFileSync(join(spec.rootfs, path), text);
  },
  exit: ([code]) => Number(code),
  hang: async (_words, { signal }) =>
    await new Promise<never>((_, reject) => {
      signal.throwIfAborted();
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    }),
};

function shell(commands: Readonly<Record<string, Command>>): Executor {
  return {
    async run(spec, io, signal) {
      const print = (text: string) => io.output(1, Buffer.from(text));
      for (const line of spec.args) {
        const [name = '', ...words] = line.split(' ');
        const command = commands[name];
        if (!command) throw new Error(`no such command: ${name}`);
        const answer = await command(words, { spec, signal, print });
        const exitCode = typeof answer === 'number' ? answer : 0;
        if (exitCode !== 0) return { exitCode, oomKilled: false };
      }
      return { exitCode: 0, oomKilled: false, usage: { cpuMs: 7 } };
    },
    probe: () => Promise.reject(new Error('no runtime in this test')),
  };
}
