import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { KILN, type Ran, Rig, ROOT, type RunOptions, run } from './rig.ts';

const CLIENTS = join(ROOT, '.cache/clients/usr');
const PLUGINS = join(CLIENTS, 'libexec/docker/cli-plugins');
const BUILDX = join(PLUGINS, 'docker-buildx');
export const DOCKER = join(CLIENTS, 'bin/docker');

/** What is typed on a terminal, or done with its process, when it shows something. */
export type Typed = readonly (readonly [RegExp, string | ((pid: string) => void)])[];

/** A rig in which `kiln serve` runs on its store, with docker-buildx and docker as the clients. */
export class ServeRig implements AsyncDisposable {
  readonly rig: Rig;
  readonly socket: string;
  #server: ChildProcess;
  #stderr = '';

  private constructor(rig: Rig, flags: readonly string[]) {
    this.rig = rig;
    this.socket = rig.path('buildkitd.sock');
    this.#server = this.#start(flags);
  }

  #start(flags: readonly string[]): ChildProcess {
    const server = spawn(KILN, ['serve', '--addr', `unix://${this.socket}`, ...flags], {
      env: { ...process.env, KILN_ROOT: this.rig.store },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    server.stderr.on('data', (data: Buffer) => {
      this.#stderr += data.toString();
    });
    return server;
  }

  async #listening(): Promise<void> {
    while (!this.#stderr.includes('listening on')) await once(this.#server.stderr!, 'data');
  }

  /** Kills the server, and starts another one with these flags on the same store. */
  async restart(flags: readonly string[] = []): Promise<void> {
    this.#server.kill('SIGKILL');
    await once(this.#server, 'close');
    this.#stderr = '';
    this.#server = this.#start(flags);
    await this.#listening();
  }

  static create(...images: readonly string[]): Promise<ServeRig> {
    return ServeRig.with([], ...images);
  }

  /** The same, with more flags of `kiln serve`. They may name places of the rig. */
  static async with(
    given: readonly string[] | ((rig: Rig) => readonly string[]),
    ...images: readonly string[]
  ): Promise<ServeRig> {
    for (const client of [BUILDX, DOCKER])
      if (!existsSync(client))
        throw new Error(`${client} is not there: run 'sh scripts/clients.sh'`);
    const rig = await Rig.create(...images);
    mkdirSync(rig.path('docker'));
    symlinkSync(PLUGINS, rig.path('docker/cli-plugins'));
    const flags = typeof given === 'function' ? given(rig) : given;
    const made = new ServeRig(rig, flags);
    await made.#listening();
    await made.buildx(['create', '--name', 'k', '--driver', 'remote', `unix://${made.socket}`]);
    return made;
  }

  /** Starts another server on the same store, at its own socket. */
  async beside(): Promise<AsyncDisposable & { readonly socket: string; readonly pid: number }> {
    const socket = this.rig.path('beside.sock');
    const server = spawn(KILN, ['serve', '--addr', `unix://${socket}`], {
      env: { ...process.env, KILN_ROOT: this.rig.store },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const closed = once(server, 'close');
    await once(server.stderr, 'data');
    server.stderr.resume();
    return {
      socket,
      pid: server.pid!,
      async [Symbol.asyncDispose]() {
        server.kill('SIGTERM');
        await closed;
      },
    };
  }

  /** The output of the server: its address, and bugs. */
  get printed(): string {
    return this.#stderr;
  }

  get pid(): number {
    return this.#server.pid!;
  }

  /** Runs `docker buildx` with its own configuration. It must succeed, or exit with `expect`. */
  buildx(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const isNew = args[0] === 'create';
    const env = { ...(isNew && { BUILDX_BUILDER: '' }), ...options.env };
    return this.#client([BUILDX, ...args], { ...options, env });
  }

  /** Starts `docker buildx` with pipes at its standard input and output. */
  startBuildx(args: readonly string[]): ChildProcessByStdio<Writable, Readable, null> {
    return spawn(BUILDX, args, {
      env: { ...process.env, ...this.clientEnv },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
  }

  /** Runs `docker`, such as `docker compose`, in the same way. There is no Docker engine. */
  docker(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.#client([DOCKER, ...args], options);
  }

  /** By which clients find their configuration, and no Docker engine. */
  get clientEnv(): NodeJS.ProcessEnv {
    return {
      BUILDX_BUILDER: 'k',
      DOCKER_CONFIG: this.rig.path('docker'),
      DOCKER_HOST: `unix://${this.rig.path('no-engine.sock')}`,
    };
  }

  #client(command: readonly string[], options: RunOptions): Promise<Ran> {
    const env = { ...this.clientEnv, ...options.env };
    return run(command, { cwd: this.rig.directory, expect: 0, ...options, env });
  }

  /**
   * Runs `docker buildx` on a pseudoterminal. Each of `typed` is typed, or done, when the terminal
   * shows what it answers. Returns what the terminal has shown.
   */
  async onTerminal(args: readonly string[], typed: Typed): Promise<string> {
    const command = `exec ${[BUILDX, ...args].map((word) => `'${word}'`).join(' ')}`;
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      cwd: this.rig.directory,
      env: { ...process.env, ...this.clientEnv, BUILDX_EXPERIMENTAL: '1', TERM: 'dumb' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const left = [...typed];
    let shown = '';
    let since = '';
    child.stdout.on('data', (data: Buffer) => {
      shown += data.toString();
      since += data.toString();
      if (!left[0]?.[0].test(since)) return;
      since = '';
      const [, next] = left.shift()!;
      if (typeof next === 'string') child.stdin.write(next);
      else next(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim());
    });
    await once(child, 'close');
    if (left.length > 0) throw new Error(`the terminal never showed ${left[0]![0]}:\n${shown}`);
    return shown.replaceAll('\r', '');
  }

  /** Runs `docker buildx build --progress=plain`. Returns its progress. */
  async build(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return (await this.buildx(['build', '--progress=plain', ...args], options)).stderr;
  }

  /** Ends the server by SIGTERM; answers its exit code. */
  async end(): Promise<number | null> {
    if (this.#server.exitCode === null && this.#server.signalCode === null) {
      this.#server.kill('SIGTERM');
      await once(this.#server, 'close');
    }
    return this.#server.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await this.rig[Symbol.asyncDispose]();
  }
}
