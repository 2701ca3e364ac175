import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, globSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from '../snapshotter/sys/launch.ts';
import { bind } from '../snapshotter/sys/native.ts';

const ROOT = join(import.meta.dirname, '..');

/**
 * An image builder that is measured. Each method runs a command to its end. When the command fails,
 * it throws an error with the output of the command.
 */
export interface Engine {
  readonly name: string;
  /** Builds the context in `directory`. Paths in `options` are relative to it. */
  build(directory: string, options?: BuildOptions): Promise<Run>;
  /** Loads the image of an OCI archive under the name `name`. */
  load(directory: string, archive: string, name: string): Promise<void>;
  /** Removes an image and the build cache, so that the next pull downloads everything. */
  forget(directory: string, name: string): Promise<void>;
  /** Removes the build cache and keeps the images. */
  forgetSteps(directory: string): Promise<void>;
  /** Downloads an image from a registry and unpacks it. */
  pull(directory: string, name: string): Promise<Run>;
  version(directory: string): Promise<Run>;
}

export interface BuildOptions {
  /** Write a gzip OCI archive to this file. */
  readonly archive?: string;
  readonly tag?: string;
  /** Push the image under this name. */
  readonly push?: string;
  /** Platforms, separated by commas. */
  readonly platforms?: string;
  /** Make no image. */
  readonly cacheOnly?: boolean;
  /** Export a cache of all steps to this directory. */
  readonly cacheTo?: string;
  /** Import a cache from this directory. */
  readonly cacheFrom?: string;
}

/** The result of one run. */
export interface Run {
  /** Wall time in milliseconds. 0 when memory was measured. */
  readonly ms: number;
  /**
   * The peak memory of the process tree in MB, without that of a daemon. 0 when time was measured.
   */
  readonly peakMb: number;
}

/**
 * Whether memory is measured instead of time. Time is not measured then, because the kernel slows
 * down a process while its pages are counted (by 60 % for a build of 80 ms).
 */
export const memory = { isMeasured: false };

/**
 * Runs a command without a shell in the directory `cwd`. Measures the wall time, or the peak memory
 * of its process tree. Throws when the command fails.
 */
export function timed(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Run> {
  return memory.isMeasured ? measureMemory(command, cwd, env) : measureTime(command, cwd, env);
}

const wait4 = bind('int wait4(int, void *, int, void *)');

/**
 * Runs a command with posix_spawn(3) and waits for it. Node's own spawn would add 10 ms, because it
 * copies the page tables of this process.
 */
async function measureTime(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<Run> {
  const [name = '', ...args] = command;
  const outputPath = join(tmpdir(), `kiln-bench-${process.pid}.out`);
  const [input, output] = [openSync('/dev/null', 'r'), openSync(outputPath, 'w')];
  const home = process.cwd();
  const status = Buffer.alloc(4);
  let ms: number;
  try {
    process.chdir(cwd);
    const path = programOf(name);
    const variables = Object.entries({ ...process.env, ...env }).map(
      ([key, value]) => `${key}=${value}`,
    );
    const started = performance.now();
    const pid = launch({ path, args, env: variables, stdio: [input, output, output] });
    wait4(pid, status, 0, null);
    ms = performance.now() - started;
  } finally {
    process.chdir(home);
    closeSync(input);
    closeSync(output);
  }
  const text = readFileSync(outputPath, 'utf8');
  rmSync(outputPath);
  if (status.readInt32LE(0) !== 0)
    throw new Error(
      `${command.join(' ')} ended with status ${status.readInt32LE(0)}:\n${text.slice(-4000)}`,
    );
  return { ms, peakMb: 0 };
}

function programOf(name: string): string {
  if (name.includes('/')) return name;
  const found = (process.env['PATH'] ?? '').split(':').map((directory) => join(directory, name));
  return found.find((path) => existsSync(path)) ?? name;
}

async function measureMemory(
  command: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<Run> {
  const child = spawn(command[0]!, command.slice(1), {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const sampler = new MemorySampler(child);
  const code = await new Promise<number | null>((done, fail) =>
    child.once('error', fail).once('close', done),
  );
  const peakMb = sampler.stop();
  if (code !== 0)
    throw new Error(`${command.join(' ')} ended with ${code}:\n${output.slice(-4000)}`);
  return { ms: 0, peakMb };
}

/**
 * Measures the memory of a process and its descendants every 50 ms. It sums their proportional set
 * sizes, so that shared pages count once.
 */
class MemorySampler {
  #peak = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(child: ChildProcess) {
    this.#timer = setInterval(() => {
      this.#peak = Math.max(this.#peak, treeMemory(child.pid ?? 0));
    }, 50);
  }

  stop(): number {
    clearInterval(this.#timer);
    return this.#peak / 1024;
  }
}

function treeMemory(pid: number): number {
  let sum = 0;
  const queue = [pid];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    try {
      sum += Number(
        /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${at}/smaps_rollup`, 'utf8'))?.[1] ?? 0,
      );
      for (const file of globSync(`/proc/${at}/task/*/children`))
        queue.push(...readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number));
    } catch {
      // The process has ended meanwhile.
    }
  }
  return sum;
}

/** Returns the flags of a build, which are the same for Kiln and Docker. */
function outputOf({
  archive,
  tag,
  push,
  platforms,
  cacheOnly,
  cacheTo,
  cacheFrom,
}: BuildOptions): string[] {
  const flags = [
    ...(platforms === undefined ? [] : ['--platform', platforms]),
    ...(cacheTo === undefined ? [] : ['--cache-to', `type=local,dest=${cacheTo},mode=max`]),
    ...(cacheFrom === undefined ? [] : ['--cache-from', `type=local,src=${cacheFrom}`]),
  ];
  if (cacheOnly) return [...flags, '--output', 'type=cacheonly'];
  if (push !== undefined) return [...flags, '--push', '-t', push];
  return [
    ...flags,
    ...(archive ? ['--output', `type=oci,dest=${archive}`] : ['-t', tag ?? 'bench']),
  ];
}

/** Runs one command after the other and returns one measurement. */
async function both(first: Promise<Run>, second: () => Promise<Run>): Promise<Run> {
  const one = await first;
  const two = await second();
  return { ms: one.ms + two.ms, peakMb: Math.max(one.peakMb, two.peakMb) };
}

export function kiln(store: string): Engine {
  const binary = join(ROOT, 'kiln');
  const env = { KILN_ROOT: store };
  const quiet = ['--progress', 'quiet'];
  return {
    name: 'Kiln',
    build: (directory, options = {}) =>
      timed([binary, 'build', ...quiet, ...outputOf(options), '.'], directory, env),
    load: async (directory, archive, name) => {
      await timed([binary, 'load', '--quiet', '--input', archive], directory, env);
      await timed([binary, 'inspect', name], directory, env);
    },
    forget: async (directory) =>
      void (await timed(['sh', '-c', `rm -rf "$KILN_ROOT"/*`], directory, env)),
    forgetSteps: async (directory) =>
      void (await timed([binary, 'prune', '--all', '--force'], directory, env)),
    pull: (directory, name) => timed([binary, 'pull', '--quiet', name], directory, env),
    version: (directory) => timed([binary, '--version'], directory, env),
  };
}

/** `kiln serve` with a store of its own, driven by the buildx of a Docker client. */
export interface Served extends Engine, AsyncDisposable {}

/**
 * Starts `kiln serve`. `prefix` runs a Docker client, which sees the files of this machine below
 * `seenAt`, but not what is mounted later: `socket` is outside of the store for that reason. Images
 * are loaded into the server's store by Kiln itself.
 */
export async function served(
  prefix: readonly string[],
  { seenAt, store, socket }: Readonly<Record<'seenAt' | 'store' | 'socket', string>>,
): Promise<Served> {
  const env = { KILN_ROOT: store };
  const binary = join(ROOT, 'kiln');
  const builder = `kiln-bench-${process.pid}`;
  const server = spawn(binary, ['serve', '--addr', `unix://${socket}`], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  while (!existsSync(socket)) {
    if (server.exitCode !== null) throw new Error('kiln serve has ended');
    await new Promise((done) => setTimeout(done, 50));
  }
  const buildx = [...prefix, 'buildx'];
  const address = `unix://${seenAt}${socket}`;
  await timed([...buildx, 'create', '--name', builder, '--driver', 'remote', address], ROOT);
  const common = ['build', '--builder', builder, '--provenance=false', '--quiet'];
  const none = async () => {
    throw new Error('kiln serve is measured by builds only');
  };
  return {
    name: 'kiln serve',
    // `-t` alone would keep the result in the cache only, and Docker makes an image of it.
    build: (directory) =>
      timed([...buildx, ...common, '--output', 'type=image,name=bench', '.'], directory),
    load: async (directory, archive) =>
      void (await timed([binary, 'load', '--quiet', '--input', archive], directory, env)),
    forget: none,
    forgetSteps: none,
    pull: none,
    version: none,
    async [Symbol.asyncDispose]() {
      await timed([...buildx, 'rm', '--force', builder], ROOT).catch(() => {});
      const ended = new Promise((done) => server.once('exit', done));
      server.kill('SIGTERM');
      await ended;
    },
  };
}

export function docker(prefix: readonly string[]): Engine {
  const common = ['build', '--network', 'host', '--provenance=false', '--quiet'];
  return {
    name: 'Docker',
    build: (directory, options = {}) =>
      timed([...prefix, ...common, ...outputOf(options), '.'], directory),
    load: async (directory, archive) =>
      void (await timed([...prefix, 'load', '--quiet', '--input', archive], directory)),
    forget: async (directory, name) => {
      await timed([...prefix, 'builder', 'prune', '-af'], directory);
      await timed([...prefix, 'image', 'rm', '-f', name], directory).catch(() => {});
      await timed([...prefix, 'image', 'rm', '-f', 'bench'], directory).catch(() => {});
      await timed([...prefix, 'image', 'prune', '-f'], directory);
    },
    forgetSteps: async (directory) =>
      void (await timed([...prefix, 'builder', 'prune', '-af'], directory)),
    pull: (directory, name) => timed([...prefix, 'pull', '--quiet', name], directory),
    version: (directory) => timed([...prefix, '--version'], directory),
  };
}

export function buildah(prefix: readonly string[]): Engine {
  return {
    name: 'buildah',
    build: async (directory, { archive, tag, push, platforms } = {}) => {
      const name =
        platforms !== undefined
          ? 'bench-list'
          : push === undefined
            ? (tag ?? 'bench')
            : 'bench-push';
      const common = ['build', '--layers', '--quiet', '--network', 'host', '--tls-verify=false'];
      // A build for several platforms adds its images to a manifest list, so the list of the last
      // build is removed first.
      if (platforms !== undefined)
        await timed([...prefix, 'manifest', 'rm', name], directory).catch(() => {});
      const target =
        platforms === undefined
          ? ['-t', archive ? `oci-archive:${archive}` : name]
          : ['--manifest', name];
      const flags = platforms === undefined ? [] : ['--platform', platforms];
      const built = timed([...prefix, ...common, ...flags, ...target, '.'], directory);
      if (push === undefined) return built;
      const send = platforms === undefined ? ['push'] : ['manifest', 'push', '--all'];
      return both(built, () =>
        timed(
          [...prefix, ...send, '--quiet', '--tls-verify=false', name, `docker://${push}`],
          directory,
        ),
      );
    },
    load: async (directory, archive, name) => {
      await timed([...prefix, 'pull', '--quiet', `oci-archive:${archive}`], directory);
      const id =
        spawnSync(
          prefix[0]!,
          [...prefix.slice(1), 'images', '--quiet', '--no-trunc', '--sort', 'created_at'],
          {
            cwd: directory,
            encoding: 'utf8',
          },
        )
          .stdout.trim()
          .split('\n')[0] ?? '';
      await timed([...prefix, 'tag', id, name], directory).catch(() => {});
    },
    forget: async (directory, name) => {
      await timed([...prefix, 'rmi', '-f', 'bench'], directory).catch(() => {});
      await timed([...prefix, 'rmi', '-f', name], directory).catch(() => {});
      await timed([...prefix, 'prune', '-f'], directory).catch(() => {});
    },
    forgetSteps: async (directory) => void (await timed([...prefix, 'prune', '-f'], directory)),
    pull: (directory, name) =>
      timed([...prefix, 'pull', '--quiet', '--tls-verify=false', name], directory),
    version: (directory) => timed([...prefix, '--version'], directory),
  };
}
