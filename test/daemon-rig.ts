import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { KILN, type Rig } from './rig.ts';

/** `kiln serve` with flags of a test, on the store of a rig. */
export class Daemon implements AsyncDisposable {
  readonly child: ChildProcess;
  printed = '';

  /** Starts `command`, which is `kiln serve` with `args` unless given. */
  constructor(
    rig: Rig,
    args: readonly string[],
    { command = [KILN, 'serve'] }: { command?: readonly string[] } = {},
  ) {
    this.child = spawn(command[0]!, [...command.slice(1), ...args], {
      env: { ...process.env, KILN_ROOT: rig.store },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr!.on('data', (data: Buffer) => {
      this.printed += data.toString();
    });
  }

  /** Waits until the server listens. Throws with what it printed when it ends instead. */
  async listening(): Promise<this> {
    while (!this.printed.includes('listening on')) {
      if (this.child.exitCode !== null) throw new Error(`kiln serve ended: ${this.printed}`);
      await Promise.race([once(this.child.stderr!, 'data'), once(this.child, 'close')]);
    }
    return this;
  }

  /** Waits for the end. Returns the exit code, or the signal that killed the server. */
  async ended(): Promise<number | string> {
    if (this.child.exitCode === null && this.child.signalCode === null)
      await once(this.child, 'close');
    return this.child.exitCode ?? this.child.signalCode ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGTERM');
    await this.ended();
  }
}

/** Returns a port of this host that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
