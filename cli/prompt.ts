import { Writable } from 'node:stream';
import { CancelledError } from '../base/errors.ts';
import { stderr, stdout } from './output.ts';
import { standardInput } from './stdin.ts';

/**
 * Prints `question` on the terminal and returns the line that the user types. A `secret` line is
 * not shown. Throws CancelledError on Ctrl-C and Ctrl-D.
 */
export async function ask(
  question: string,
  { secret }: { readonly secret: boolean },
): Promise<string> {
  const { createInterface } = await import('node:readline');
  stderr.write(question);
  const output = secret
    ? new Writable({ write: (_chunk, _encoding, done) => done() })
    : process.stderr;
  const lines = createInterface({ input: process.stdin, output, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('SIGINT', () => reject(new CancelledError()));
      lines.once('close', () => reject(new CancelledError()));
    });
  } finally {
    lines.close();
    if (secret) stderr.write('\n');
  }
}

/** Returns all of standard input as text. */
export async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of standardInput() as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/**
 * Prints a warning that something will be deleted and asks the user to confirm it. Returns true
 * only when the answer is `y` or `yes`. At the end of standard input it returns false, so that
 * scripts need `--force`.
 */
export async function confirmed(what: string): Promise<boolean> {
  const { createInterface } = await import('node:readline');
  stdout.write(`WARNING! ${what} Are you sure you want to continue? [y/N] `);
  const lines = createInterface({ input: process.stdin });
  try {
    for await (const line of lines) return /^y(es)?$/i.test(line.trim());
    return false;
  } finally {
    lines.close();
  }
}
