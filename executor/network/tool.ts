import { openSync } from 'node:fs';
import { launch } from '../../snapshotter/sys/launch.ts';
import { closeAll, drain, feed, makePipe } from '../pipes.ts';
import { reap } from '../spawn.ts';

export interface ToolResult {
  readonly code: number;
  readonly output: string;
  readonly error: string;
}

/** Runs an action in a certain place, such as another network namespace. */
export type Enter = <T>(action: () => T) => T;

/** Runs a program with `input` as its standard input. */
export async function runTool(
  path: string,
  args: readonly string[],
  input: string,
): Promise<ToolResult> {
  const [out, err] = [makePipe(), makePipe()];
  const source = input === '' ? { read: openSync('/dev/null', 'r') } : makePipe();
  let pid: number;
  try {
    pid = launch({ path, args, env: ENVIRONMENT, stdio: [source.read, out.write, err.write] });
  } finally {
    closeAll([source.read, out.write, err.write]);
  }
  if ('write' in source) feed(source.write, Buffer.from(input));
  const texts = { output: '', error: '' };
  const collect = (name: 'output' | 'error') => (data: Uint8Array) => {
    texts[name] += Buffer.from(data).toString();
  };
  await Promise.all([drain(out.read, collect('output')), drain(err.read, collect('error'))]);
  return { code: (await reap(pid)).code, ...texts };
}

const ENVIRONMENT = ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C'];

/** The first line of a program's error output. */
export function complaint({ error, code }: ToolResult): string {
  return error.trim().split('\n')[0] || `exit code ${code}`;
}
