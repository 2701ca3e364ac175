import { spawn } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');
export const KILN = join(ROOT, 'kiln');

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Buffer;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly stdin?: string | Uint8Array;
  readonly env?: NodeJS.ProcessEnv;
  /** The exit code that the test expects. Any other one throws, with the whole output. */
  readonly expect?: number | undefined;
  /**
   * Called at each chunk with all output so far, for tests that act while the command runs. `kill`
   * sends it a signal, once: a second SIGINT would end a build that is being cancelled.
   */
  readonly watch?: (output: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/**
 * Runs a command and waits for its end. Rejects when it ends with another code than expected, and
 * when Kiln shows a warning of Node, which means nothing to its users.
 */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((done, fail) => {
    const child = spawn(command[0]!, command.slice(1), {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const out: Buffer[] = [];
    let stderr = '';
    let all = '';
    const sent = new Set<NodeJS.Signals>();
    const kill = (signal: NodeJS.Signals) => {
      if (!sent.has(signal)) child.kill(signal);
      sent.add(signal);
    };
    const seen = (data: Buffer) => {
      all += data.toString();
      try {
        options.watch?.(all, kill);
      } catch (error) {
        child.kill('SIGKILL');
        fail(error);
      }
    };
    child.stdout.on('data', (data: Buffer) => {
      out.push(data);
      seen(data);
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
      seen(data);
    });
    child.stdin.on('error', () => {});
    child.stdin.end(options.stdin ?? '');
    child.once('error', fail);
    child.once('close', (code, signal) => {
      const stdoutBytes = Buffer.concat(out);
      const ran = { code, signal, stdout: stdoutBytes.toString(), stderr, stdoutBytes };
      if (options.expect !== undefined && code !== options.expect)
        fail(
          new Error(
            `${command.join(' ')} ended with ${code ?? signal}, not ${options.expect}\n` +
              `${ran.stdout}${stderr}`,
          ),
        );
      else if (command[0] === KILN && /^\(node:\d+\) /m.test(stderr))
        fail(new Error(`${command.join(' ')} shows a warning of Node:\n${stderr}`));
      else done(ran);
    });
  });
}

/**
 * The setting of one end-to-end test: a temporary directory with a store that has the named test
 * images. Commands run the real binary there. Disposing the rig removes everything.
 */
export class Rig implements AsyncDisposable {
  readonly directory: string;
  readonly store: string;

  private constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'kiln-test-'));
    this.store = join(this.directory, 'store');
  }

  static async create(...images: readonly string[]): Promise<Rig> {
    const rig = new Rig();
    for (const image of images)
      await rig.kiln(['load', '--quiet', '--input', testImage(image)], { expect: 0 });
    return rig;
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  /** Writes files below `directory`. The first line break of a text is dropped. */
  write(directory: string, files: Readonly<Record<string, string | Uint8Array>>): string {
    for (const [name, content] of Object.entries(files)) {
      const path = this.path(directory, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, typeof content === 'string' ? content.replace(/^\n/, '') : content);
    }
    return this.path(directory);
  }

  kiln(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return run([KILN, ...args], {
      cwd: this.directory,
      ...options,
      env: { KILN_ROOT: this.store, ...options.env },
    });
  }

  /** Runs `kiln build --progress=plain` on a context, which must succeed. Returns its progress. */
  async build(context: string, ...args: string[]): Promise<string> {
    const ran = await this.kiln(['build', '--progress=plain', ...args, context], { expect: 0 });
    return ran.stderr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The path of the archive of a test image, which scripts/test-images.sh makes. */
export function testImage(name: string): string {
  const archives = globSync(join(ROOT, '.cache/test-images', `${name}-*.oci.tar`)).filter((path) =>
    new RegExp(`/${name}-[0-9a-f]{16}\\.oci\\.tar$`).test(path),
  );
  const archive = archives[0];
  if (!archive)
    throw new Error(`the test image ${name} is missing: run 'npm run test-images -- ${name}'`);
  return archive;
}

/**
 * Reads plain progress: maps the name of each step to `CACHED`, `DONE`, `ERROR` or `CANCELED`.
 * Internal steps and exports are left out.
 */
export function steps(plain: string): Map<string, string> {
  const names = new Map<string, string>();
  const ends = new Map<string, string>();
  for (const line of plain.split('\n')) {
    const match = /^#(\d+) (.*)$/.exec(line);
    if (!match) continue;
    const [, index = '', text = ''] = match;
    if (/^\[/.test(text)) names.set(index, text);
    const end = /^(CACHED|DONE|ERROR|CANCELED)\b/.exec(text);
    if (end) ends.set(index, end[1] ?? '');
  }
  return new Map(
    [...names]
      .filter(([, name]) => !name.startsWith('[internal]'))
      .map(([index, name]) => [name, ends.get(index) ?? 'unfinished']),
  );
}

/** The text of `file` in an image, which `cat` prints in a container. */
export async function cat(rig: Rig, image: string, file: string): Promise<string> {
  return (await rig.kiln(['run', image, 'cat', file], { expect: 0 })).stdout;
}

/** The mounts below `directory` that this process sees. A build must leave none. */
export function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(directory));
}

/** The other processes whose command line contains `text`. A build must leave none. */
export function processesWith(text: string): string[] {
  const found: string[] = [];
  for (const file of globSync('/proc/[0-9]*/cmdline')) {
    if (file === `/proc/${process.pid}/cmdline`) continue;
    try {
      const command = readFileSync(file, 'utf8').replaceAll('\0', ' ');
      if (command.includes(text)) found.push(command);
    } catch {
      // The process has ended meanwhile.
    }
  }
  return found;
}
