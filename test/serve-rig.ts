import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { KILN, type Ran, Rig, ROOT, type RunOptions, run } from './rig.ts';

const CLIENTS = join(ROOT, '.cache/clients');
const BUILDX = join(CLIENTS, 'usr/libexec/docker/cli-plugins/docker-buildx');

/** A rig in which `kiln serve` runs on its store, with docker-buildx as the client. */
export class ServeRig implements AsyncDisposable {
  readonly rig: Rig;
  readonly socket: string;
  readonly #server: ChildProcess;
  #stderr = '';

  private constructor(rig: Rig) {
    this.rig = rig;
    this.socket = rig.path('buildkitd.sock');
    this.#server = spawn(KILN, ['serve', '--addr', `unix://${this.socket}`], {
      env: { ...process.env, KILN_ROOT: rig.store },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#server.stderr!.on('data', (data: Buffer) => {
      this.#stderr += data.toString();
    });
  }

  static async create(...images: readonly string[]): Promise<ServeRig> {
    if (!existsSync(BUILDX))
      throw new Error("docker-buildx is not there: run 'sh scripts/clients.sh'");
    const rig = await Rig.create(...images);
    const made = new ServeRig(rig);
    while (!made.#stderr.includes('listening on')) await once(made.#server.stderr!, 'data');
    await made.buildx(['create', '--name', 'k', '--driver', 'remote', `unix://${made.socket}`]);
    return made;
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
    return run([BUILDX, ...args], {
      cwd: this.rig.directory,
      expect: 0,
      ...options,
      env: {
        BUILDX_BUILDER: args[0] === 'create' ? '' : 'k',
        DOCKER_CONFIG: this.rig.path('docker'),
        ...options.env,
      },
    });
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
