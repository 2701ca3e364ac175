import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  globSync,
  lstatSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { makeImage } from '../registry/testing/images.ts';
import { publish } from '../registry/testing/publish.ts';
import { KILN, type Ran, Rig, type RunOptions } from './rig.ts';

const BASES = ['one', 'two'].map((text) => makeImage([{ name: 'base', text }]));

/**
 * Two stores that see the same calls. One may recall what a build found the last time (decision
 * 062), the other one builds. Both must show the same and end in the same way, every time.
 */
export class Twins implements AsyncDisposable {
  readonly rig: Rig;
  readonly host: string;
  /** More words and variables for the calls to come. */
  words: string[] = [];
  env: NodeJS.ProcessEnv = {};
  name = 'made';
  #base = 0;

  private constructor(rig: Rig, host: string) {
    this.rig = rig;
    this.host = host;
  }

  static async create(host: string): Promise<Twins> {
    const twins = new Twins(await Rig.create(), host);
    await publish(host, 'base', '1', [BASES[0]!]);
    twins.rig.write('c', {
      Dockerfile: twins.dockerfile(),
      'src/a': 'a\n',
      'src/b': 'b\n',
      'src/deep/c': 'c\n',
      one: '1\n',
    });
    return twins;
  }

  dockerfile(more = ''): string {
    return (
      `FROM ${this.host}/base:1 as first\nARG WHAT=x\nWORKDIR /made/$WHAT\n` +
      `COPY src /src\nCOPY on* /ones/\n${more}FROM first\nCOPY --from=first /src/deep /deep\n`
    );
  }

  path(...parts: string[]): string {
    return this.rig.path('c', ...parts);
  }

  /** Moves the tag of the base to its other image. */
  async moveTag(): Promise<void> {
    this.#base = 1 - this.#base;
    await publish(this.host, 'base', '1', [BASES[this.#base]!]);
  }

  /** Builds in both stores. Returns whether the first one recalled the build. */
  async build(): Promise<boolean> {
    await this.both(['build', '--progress=plain', '-t', this.name, ...this.words, 'c']);
    return this.recalled();
  }

  /** Makes what the first store may have made alone, and compares the images. */
  async quietly(): Promise<void> {
    await this.both(['build', '-q', '-t', this.name, ...this.words, 'c']);
  }

  /** Runs a command in both stores, and compares what it shows and how it ends. */
  async both(args: readonly string[]): Promise<Ran> {
    const [own, other] = await Promise.all([
      this.kiln(args),
      this.kiln(args, { KILN_ROOT: this.rig.path('other'), KILN_MEMO: 'off' }),
    ]);
    const told = (ran: Ran) => timeless(`${ran.code}\n${ran.stdout}\n${ran.stderr}`);
    assert.is(told(own), told(other), args.join(' '));
    return own;
  }

  /** Runs a command in both stores whose output names things of the store. */
  async each(args: readonly string[]): Promise<void> {
    await this.kiln(args, {}, { expect: 0 });
    await this.kiln(args, { KILN_ROOT: this.rig.path('other') }, { expect: 0 });
  }

  kiln(args: readonly string[], env: NodeJS.ProcessEnv = {}, options: RunOptions = {}) {
    return this.rig.kiln(args, { ...options, env: { ...this.variables(), ...env } });
  }

  /** The variables of the first store. */
  variables(): NodeJS.ProcessEnv {
    return { KILN_ROOT: this.rig.store, SOURCE_DATE_EPOCH: '1700000000', ...this.env };
  }

  /** True when the last build of the first store was recalled. */
  recalled(): boolean {
    return this.log().startsWith('{"build":') && this.log().split('\n')[0]!.includes('"recalled":');
  }

  /** The text of the last log of the first store. */
  log(): string {
    return readFileSync(globSync(`${this.rig.store}/logs/*.jsonl`).sort(byAge).at(-1)!, 'utf8');
  }

  memos(): string[] {
    return globSync(`${this.rig.store}/memos/*`).filter((path) => lstatSync(path).isFile());
  }

  /**
   * Builds until the first store recalls the build. A file, or the index of the store, that changed
   * in the last tenth of a second is not relied on.
   */
  async settle(): Promise<void> {
    for (let count = 0; count < 20; count++) {
      await new Promise((done) => setTimeout(done, 120));
      // The first one is noted, and the second one recalls it.
      if ((await this.build()) || (await this.build())) return;
    }
    throw new Error('the build was never recalled');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
  }
}

const writtenAt = (path: string) => lstatSync(path).ctimeMs;
export const byAge = (one: string, other: string) => writtenAt(one) - writtenAt(other);

/**
 * Text without what differs from run to run: durations, the place of the store, and the order of
 * steps that end at the same time, which are named again whenever they take turns.
 */
function timeless(text: string): string {
  const told = text.replace(/\b\d+\.\d+s\b/g, 'TIME').replace(/\/(store|other)\b/g, '/STORE');
  return [...new Set(told.split('\n'))].sort().join('\n');
}

/** A change after which a build may have to do something. What is undone later is left as it is. */
export interface Change {
  readonly name: string;
  readonly make: (twins: Twins) => unknown;
  /** True for what no build depends on. The next one is recalled. */
  readonly isNone?: true;
}

/** Writes other bytes of the same length to a file. */
function edit(twins: Twins, file: string, text = randomBytes(4).toString('hex')): void {
  writeFileSync(twins.path(file), `${text}\n`);
}

export const CHANGES: readonly Change[] = [
  { name: 'nothing', make: () => {}, isNone: true },
  { name: 'a file is edited', make: (twins) => edit(twins, 'src/a') },
  {
    name: 'a file is edited and reverted',
    make(twins) {
      const before = readFileSync(twins.path('one'));
      edit(twins, 'one');
      writeFileSync(twins.path('one'), before);
    },
  },
  {
    name: 'a file is touched',
    make: (twins) => utimesSync(twins.path('src/b'), new Date(), new Date()),
  },
  {
    name: 'a file is edited, with the same length and time',
    make(twins) {
      edit(twins, 'src/b', 'x');
      const { atime, mtime } = lstatSync(twins.path('src/b'));
      edit(twins, 'src/b', 'y');
      utimesSync(twins.path('src/b'), atime, mtime);
    },
  },
  {
    name: 'a file is replaced by another one with its length and time',
    make(twins) {
      const { atime, mtime } = lstatSync(twins.path('src/deep/c'));
      writeFileSync(twins.path('src/new'), Math.random() < 0.5 ? 'd\n' : 'e\n');
      utimesSync(twins.path('src/new'), atime, mtime);
      renameSync(twins.path('src/new'), twins.path('src/deep/c'));
    },
  },
  {
    name: 'a file is renamed, and back at the next time',
    make(twins) {
      const names = [twins.path('src/a'), twins.path('src/z')] as const;
      const isThere = lstatSync(names[0], { throwIfNoEntry: false }) !== undefined;
      if (isThere) renameSync(names[0], names[1]);
      else renameSync(names[1], names[0]);
    },
  },
  {
    name: 'the mode of a file changes',
    make(twins) {
      const { mode } = lstatSync(twins.path('src/b'));
      chmodSync(twins.path('src/b'), (mode & 0o777) ^ 0o100);
    },
  },
  {
    name: 'a file comes that a wildcard finds',
    make: (twins) => edit(twins, `on${randomBytes(2).toString('hex')}`),
  },
  {
    name: 'a file goes that a wildcard found',
    make: (twins) =>
      globSync(`${twins.path()}/on[0-9a-f][0-9a-f][0-9a-f]*`).forEach((path) => {
        rmSync(path);
      }),
  },
  {
    name: 'a file comes deep down',
    make: (twins) => edit(twins, `src/deep/${randomBytes(2).toString('hex')}`),
  },
  {
    name: 'a directory becomes a link to one with the same files',
    make(twins) {
      const { rig } = twins;
      rmSync(twins.path('moved'), { recursive: true, force: true });
      renameSync(twins.path('src/deep'), twins.path('moved'));
      symlinkSync('../moved', twins.path('src/deep'));
      rmSync(twins.path('src/deep'));
      rig.write('c/src/deep', { c: readFileSync(twins.path('moved/c')) });
    },
  },
  {
    name: 'an ignore file comes, or changes',
    make: (twins) => edit(twins, '.dockerignore', Math.random() < 0.5 ? 'src/b' : '*/b'),
  },
  {
    name: 'an ignore file of the Dockerfile comes',
    make: (twins) => edit(twins, 'Dockerfile.dockerignore', 'src/deep/[d-z]*'),
  },
  {
    name: 'the ignore files go',
    make(twins) {
      rmSync(twins.path('.dockerignore'), { force: true });
      rmSync(twins.path('Dockerfile.dockerignore'), { force: true });
    },
  },
  {
    name: 'the Dockerfile changes',
    make: (twins) =>
      writeFileSync(
        twins.path('Dockerfile'),
        twins.dockerfile(`ENV N=${randomBytes(3).toString('hex')}\n`),
      ),
  },
  {
    name: 'a build argument is given',
    make: (twins) => void (twins.words = ['--build-arg', `WHAT=${Math.random()}`]),
  },
  {
    name: 'a build argument comes from the environment',
    make(twins) {
      twins.words = ['--build-arg', 'WHAT'];
      twins.env = { WHAT: `e${Math.random()}` };
    },
  },
  {
    name: 'the arguments go',
    make(twins) {
      twins.words = [];
      twins.env = {};
    },
  },
  { name: 'the output is quiet', make: (twins) => void (twins.words = ['--quiet']) },
  { name: 'the tag of the base moves', make: (twins) => twins.moveTag() },
  { name: 'the cache is pruned', make: (twins) => twins.each(['prune', '-a', '-f']) },
  { name: 'the image is removed', make: (twins) => twins.each(['rmi', '-f', twins.name]) },
  {
    name: 'the name is given to another image',
    async make(twins) {
      await twins.both(['build', '-q', '--build-arg', 'WHAT=other', '-t', twins.name, 'c']);
    },
  },
  { name: 'the image gets another name', make: (twins) => void (twins.name = `n${Math.random()}`) },
  {
    name: 'all steps run again',
    make: (twins) => twins.both(['build', '-q', '--no-cache', '-t', twins.name, 'c']),
  },
  {
    name: 'memos are damaged',
    make(twins) {
      for (const path of twins.memos()) {
        const bytes = readFileSync(path);
        const at = Math.floor(Math.random() * bytes.length);
        if (Math.random() < 0.3) return writeFileSync(path, bytes.subarray(0, at));
        bytes[at]! ^= 1 + Math.floor(Math.random() * 255);
        writeFileSync(path, bytes);
      }
    },
  },
  {
    name: 'memos are something else',
    make(twins) {
      for (const path of twins.memos()) {
        rmSync(path);
        if (Math.random() < 0.5) symlinkSync('/dev/zero/gone', path);
        else writeFileSync(path, '');
      }
    },
  },
  {
    name: 'a build is killed',
    async make(twins) {
      const child = spawn(KILN, ['build', '--progress=plain', '-t', twins.name, 'c'], {
        cwd: twins.rig.directory,
        env: { ...process.env, ...twins.variables() },
        stdio: 'ignore',
      });
      const ended = once(child, 'exit');
      await new Promise((done) => setTimeout(done, Math.random() * 120));
      child.kill('SIGKILL');
      await ended;
      await twins.quietly();
    },
  },
  {
    name: 'two builds run at once',
    async make(twins) {
      const args = ['build', '--progress=plain', '-t', twins.name, ...twins.words, 'c'];
      const all = await Promise.all([1, 2, 3].map(() => twins.kiln(args)));
      for (const ran of all) assert.is(ran.code, 0, ran.stderr);
      await twins.quietly();
    },
  },
  {
    name: 'a log is damaged',
    make(twins) {
      const path = globSync(`${twins.rig.store}/logs/*.jsonl`).sort(byAge).at(-1);
      if (path) writeFileSync(path, 'nothing\n');
    },
    isNone: true,
  },
  {
    name: 'the configuration changes',
    make(twins) {
      const path = join(twins.rig.directory, 'kiln.toml');
      writeFileSync(path, `# ${Math.random()}\n`);
      twins.env = { ...twins.env, KILN_CONFIG: path };
    },
  },
];
