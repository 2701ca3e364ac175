import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { WORK_STREAM } from '../workers/protocol.ts';
import { freePort } from './daemon-rig.ts';
import { KILN, type Ran, Rig, type RunOptions, testImage } from './rig.ts';

/** A program of a test, and what it has written. */
export class Started implements AsyncDisposable {
  readonly child: ChildProcess;
  printed = '';
  readonly #news = new Set<() => void>();

  constructor(command: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(command[0]!, command.slice(1), {
      env: { ...process.env, ...env },
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

/** A NATS server with a store of its own, and workers with theirs, around the store of a rig. */
export class NatsRig implements AsyncDisposable {
  readonly rig: Rig;
  readonly port: number;
  readonly #scope = new AsyncDisposableStack();
  #server: Started;

  private constructor(rig: Rig, port: number) {
    this.rig = rig;
    this.port = port;
    this.#server = this.#start();
  }

  static async create(...images: readonly string[]): Promise<NatsRig> {
    const made = new NatsRig(await Rig.create(...images), await freePort());
    await made.#server.writes('Server is ready');
    return made;
  }

  get address(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  /** The directory in which NATS stores streams. */
  get stored(): string {
    return this.rig.path('nats');
  }

  #start(): Started {
    const listen = ['-a', '127.0.0.1', '-p', String(this.port)];
    return new Started(['/usr/sbin/nats-server', '-js', ...listen, '-sd', this.stored]);
  }

  /** Kills NATS, and starts it again on the same store. */
  async restart(): Promise<void> {
    await this.#server.end('SIGKILL');
    this.#server = this.#start();
    await this.#server.writes('Server is ready');
  }

  /** Starts a worker with a store of its own, in which the images are. */
  async worker(
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
    const command = [KILN, 'worker', '--nats', this.address, '--name', name, ...flags];
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

  /** Waits until a job is in the stream of work. */
  async posted(): Promise<void> {
    const connection = await connect({ servers: this.address });
    try {
      const manager = await jetstreamManager(connection);
      while (!this.#scope.disposed) {
        const { state } = await manager.streams.info(WORK_STREAM);
        if (state.messages > 0) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } finally {
      await connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.disposeAsync();
    await this.#server.end();
    await this.rig[Symbol.asyncDispose]();
  }
}
