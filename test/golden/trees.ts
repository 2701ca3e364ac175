import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Comparable } from './case.ts';

/**
 * One process of tree.py that reads many images. Starting Python and reading the base for each
 * image would take longer than the builds.
 */
export interface TreeReader extends Disposable {
  /** The tree and the config of an image in an OCI archive. Files as in `base` are left out. */
  read(archive: string, base: string, platform: string): Promise<Comparable>;
}

export function treeReader(): TreeReader {
  const child = spawn('python3', [join(import.meta.dirname, '../tree.py'), '--serve'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting: {
    readonly done: (answer: Comparable) => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  createInterface(child.stdout).on('line', (line) => {
    const { done, fail } = waiting.shift()!;
    const answer = JSON.parse(line) as Comparable & { error?: string };
    if (answer.error === undefined) done(answer);
    else fail(new Error(answer.error));
  });
  child.on('close', () => {
    for (const { fail } of waiting) fail(new Error('tree.py ended'));
  });
  return {
    read: (...request) =>
      new Promise((done, fail) => {
        waiting.push({ done, fail });
        child.stdin.write(`${JSON.stringify(request)}\n`);
      }),
    [Symbol.dispose]: () => void child.stdin.end(),
  };
}
