import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProcessResult, ProcessSpec } from './executor.ts';
import type { RuntimeExecutor } from './runtime-executor.ts';

/** For tests: makes a small tree to run in, and has a short way to run commands there. */

const BUSYBOX = '/bin/busybox';
const APPLETS = [
  'cat chmod cut env false find grep head hostname id kill ln ls mkdir mknod mkfifo mount ' +
    'mv ps pwd readlink rm rmdir',
  'sh sleep sort stat tail test touch tr true umask wc yes',
]
  .join(' ')
  .split(' ');

/** Why real sandboxes cannot be tested here, or undefined when they can. */
export function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(BUSYBOX)) return `needs ${BUSYBOX} (busybox-static)`;
  if (
    !['/usr/bin', '/usr/local/bin', '/usr/sbin'].some((directory) =>
      existsSync(`${directory}/crun`),
    )
  )
    return 'needs crun';
  return undefined;
}

export interface TestTree extends Disposable {
  /** A directory for all files of the test. */
  readonly directory: string;
  readonly root: string;
  readonly stateDir: string;
  /** The path of a file in the tree. Plain joining is safe here, because test trees are trusted. */
  at(path: string): string;
}

export function makeTree(): TestTree {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-executor-'));
  const root = join(directory, 'root');
  for (const name of ['bin', 'etc', 'tmp']) mkdirSync(join(root, name), { recursive: true });
  if (existsSync(BUSYBOX)) copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
  for (const name of APPLETS) symlinkSync('busybox', join(root, 'bin', name));
  writeFileSync(join(root, 'etc/passwd'), PASSWD);
  writeFileSync(join(root, 'etc/group'), GROUP);
  return {
    directory,
    root,
    stateDir: join(directory, 'state'),
    at: (path) => join(root, path),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

export const PASSWD = [
  '# a comment',
  'root:x:0:0:root:/root:/bin/sh',
  'alice:x:1000:1001:A:/home/alice:/bin/sh',
  'nohome:x:1003:1003:::/bin/sh',
  '',
].join('\n');

export const GROUP = [
  'root:x:0:',
  'alice:x:1001:',
  'wheel:x:10:alice,root',
  'extra:x:20:alice',
  '',
].join('\n');

export function specFor(
  root: string,
  args: readonly string[],
  more: Partial<ProcessSpec> = {},
): ProcessSpec {
  return {
    rootfs: root,
    args,
    env: ['PATH=/bin'],
    cwd: '/',
    user: '',
    hostname: 'buildkitsandbox',
    network: 'default',
    security: 'sandbox',
    mounts: [],
    extraHosts: [],
    ulimits: [],
    shmSize: 0,
    cgroupParent: '',
    readonlyRootfs: false,
    ...more,
  };
}

export interface Outcome extends ProcessResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a shell script in the tree and collects its output. */
export async function shell(
  executor: RuntimeExecutor,
  root: string,
  script: string,
  more: Partial<ProcessSpec> = {},
): Promise<Outcome> {
  const texts: [string, string] = ['', ''];
  const output = (stream: 1 | 2, data: Uint8Array) => {
    texts[stream - 1] += Buffer.from(data).toString();
  };
  const result = await executor.run(
    specFor(root, ['/bin/sh', '-c', script], more),
    { output },
    new AbortController().signal,
  );
  return { ...result, stdout: texts[0], stderr: texts[1] };
}

/** The ids of this host's processes whose arguments contain `text`. */
export function processesWith(text: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => argumentsOf(name).includes(text))
    .map(Number);
}

function argumentsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

/** Calls `done` every few milliseconds until it is true. Returns false after about `seconds`. */
export async function until(done: () => boolean, seconds = 10): Promise<boolean> {
  for (let attempt = 0; attempt < seconds * 100; attempt++) {
    if (done()) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}
