import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** For tests: a process that exchanges two paths without pause until it is disposed. */
export async function startSwapper(left: string, right: string): Promise<AsyncDisposable> {
  const script = fileURLToPath(new URL('swapper.child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, left, right], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return {
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
