import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { jetstreamManager, type StreamInfo } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { WORK_STREAM } from '../workers/protocol.ts';
import { freePort } from './daemon-rig.ts';
import { KILN, type Ran, Rig, type RunOptions, testImage } from './rig.ts';

/** What workers of tests are for. To a build, they run it natively elsewhere. */
export const ARM = '--platform=linux/arm64';

/** Whether this host can emulate what workers of tests are for. Says so when it cannot. */
export function emulatesArm(file: string): boolean {
  const ready = process.arch === 'x64' && existsSync('/usr/bin/qemu-aarch64-static');
  if (!ready) console.log(`SKIP ${file}: needs an amd64 host with qemu-user-static`);
  return ready;
}

/** A program of a test, and what it has written. */
export class Started implements AsyncDisposable {
  readonly child: ChildProcess;
  printed = '';
  readonly #news = new Set<() => void>();

  constructor(command: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string) {
    this.child = spawn(command[0]!, command.slice(1), {
      env: { ...process.env, ...env },
      ...(cwd !== undefined && { cwd }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.on('data', (data: Buffer) => {
        this.printed += data.toString();
        this.#tell();
      });
    this.child.once('close', () => this.#tell());
  }

  /** Waits until it has written `text`. Throws when it ends instead. */
  async writes(text: string): Promise<this> {
    while (!this.printed.includes(text)) {
      if (this.hasEnded) throw new Error(`ended: ${this.printed}`);
      await new Promise<void>((resolve) => this.#news.add(resolve));
    }
    return this;
  }

  #tell(): void {
    for (const look of this.#news) look();
    this.#news.clear();
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.child, 'close');
    this.child.kill(signal);
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

/** NATS servers with stores of their own, and workers with theirs, around the store of a rig. */
export class NatsRig implements AsyncDisposable {
  readonly rig: Rig;
  readonly #ports: readonly number[];
  readonly #scope = new AsyncDisposableStack();
  readonly #servers: Started[];

  private constructor(rig: Rig, ports: readonly number[], routes: readonly number[]) {
    this.rig = rig;
    this.#ports = ports;
    this.#servers = ports.map((_, at) => this.#start(at, routes));
  }

  static async create(...images: readonly string[]): Promise<NatsRig> {
    const made = new NatsRig(await Rig.create(...images), [await freePort()], []);
    await made.#servers[0]!.writes('Server is ready');
    return made;
  }

  /** A cluster of three servers, with a leader. */
  static async cluster(...images: readonly string[]): Promise<NatsRig> {
    const ports: number[] = [];
    while (ports.length < 6) ports.push(await freePort());
    const made = new NatsRig(await Rig.create(...images), ports.slice(0, 3), ports.slice(3));
    for (const server of made.#servers) await server.writes('Server is ready');
    const leads = made.#servers.map((server) =>
      server.writes('JetStream cluster new metadata leader'),
    );
    for (const lead of leads) lead.catch(() => {});
    await Promise.any(leads);
    return made;
  }

  get address(): string {
    return `nats://${this.#ports.map((port) => `127.0.0.1:${port}`).join(',')}`;
  }

  /** The directory in which NATS stores streams. */
  get stored(): string {
    return this.rig.path('nats0');
  }

  #start(at: number, routes: readonly number[]): Started {
    const listen = ['-a', '127.0.0.1', '-p', String(this.#ports[at])];
    const cluster =
      routes.length === 0
        ? []
        : [
            ...['--cluster_name', 'kiln', '--name', `nats${at}`],
            ...['--cluster', `nats://127.0.0.1:${routes[at]}`],
            ...['--routes', routes.map((port) => `nats://127.0.0.1:${port}`).join(',')],
          ];
    const store = this.rig.path(`nats${at}`);
    return new Started(['/usr/sbin/nats-server', '-js', ...listen, '-sd', store, ...cluster]);
  }

  /** Kills NATS, and starts it again on the same store. */
  async restart(): Promise<void> {
    await this.#servers[0]!.end('SIGKILL');
    this.#servers[0] = this.#start(0, []);
    await this.#servers[0].writes('Server is ready');
  }

  /** Kills the server of a cluster that leads the stream of work. The name of it. */
  async killLeader(): Promise<string> {
    const leader = await this.#streams(async ({ cluster }) => cluster?.leader);
    await this.#servers[Number(leader.slice('nats'.length))]!.end('SIGKILL');
    return leader;
  }

  /** How many messages are in the stream of work. */
  async jobs(): Promise<number> {
    return await this.#streams(async ({ state }) => state.messages);
  }

  /** Waits until a job is in the stream of work. */
  async posted(): Promise<void> {
    await this.#streams(async ({ state }) => state.messages > 0 || undefined);
  }

  /** Looks at the stream of work until `look` returns something. */
  async #streams<T>(look: (info: StreamInfo) => Promise<T | undefined>): Promise<T> {
    const connection = await connect({ servers: this.address.slice('nats://'.length).split(',') });
    try {
      const manager = await jetstreamManager(connection);
      while (!this.#scope.disposed) {
        const found = await look(await manager.streams.info(WORK_STREAM));
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error('the rig is closed');
    } finally {
      await connection.close();
    }
  }

  /** Starts a worker with a store of its own, in which the images are. */
  async worker(
    name: string,
    images: readonly string[],
    ...flags: readonly string[]
  ): Promise<Started> {
    return await this.workerBy([], name, images, ...flags);
  }

  /** The same, started by another program. */
  async workerBy(
    by: readonly string[],
    name: string,
    images: readonly string[],
    ...flags: readonly string[]
  ): Promise<Started> {
    const store = this.rig.path(`store-${name}`);
    for (const image of images)
      await this.rig.kiln(['load', '-q', '-i', testImage(image)], {
        env: { KILN_ROOT: store },
        expect: 0,
      });
    const command = [...by, KILN, 'worker', '--nats', this.address, '--name', name, ...flags];
    const worker = this.#scope.use(new Started(command, { KILN_ROOT: store }));
    return await worker.writes('takes work');
  }

  /** Builds with the workers. It must succeed, or exit with `expect`. */
  async build(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return await this.rig.kiln(['build', '--progress=plain', '--workers', this.address, ...args], {
      expect: 0,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.disposeAsync();
    for (const server of this.#servers) await server.end('SIGKILL');
    await this.rig[Symbol.asyncDispose]();
  }
}
