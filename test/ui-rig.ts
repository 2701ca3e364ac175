import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { KILN, type Rig } from './rig.ts';

/** A `kiln ui` that serves the page of a rig's store. */
export interface ServedUi extends AsyncDisposable {
  readonly address: string;
  readonly child: ChildProcess;
}

/** Starts `kiln ui` and waits for its address. Disposing it ends it as Ctrl-C does. */
export async function servedUi(rig: Rig, args: readonly string[] = []): Promise<ServedUi> {
  const child = spawn(KILN, ['ui', '--no-open', ...args], {
    env: { ...process.env, KILN_ROOT: rig.store },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const address = Promise.withResolvers<string>();
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (output.includes('\n')) address.resolve(output.split('\n', 1)[0]!);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.once('close', (code) =>
    address.reject(new Error(`kiln ui has ended with ${code}\n${errors}`)),
  );
  return {
    address: await address.promise,
    child,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, 'close');
      child.kill('SIGINT');
      await closed;
    },
  };
}
