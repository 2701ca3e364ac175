import { basename } from 'node:path';
import type { Executor } from '../../executor/executor.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { FailedStep } from '../../solver/step-session.ts';
import { stderr } from '../output.ts';
import { standardStreams } from '../terminal/standard-streams.ts';

const SHELLS = ['/bin/bash', '/bin/sh', '/usr/bin/bash', '/usr/bin/sh', '/busybox/sh'];

/**
 * Runs a shell on the terminal, in the sandbox of a failed step: with its root file system, mounts,
 * environment, user and working directory. Returns when the shell ends. Returns a sentence for the
 * user when the image has no shell.
 */
export async function openFailureShell(
  { spec, exitCode }: FailedStep,
  executor: Executor,
  signal: AbortSignal,
): Promise<string | undefined> {
  const shell = shellOf(spec);
  if (shell === undefined) return 'no shell is opened: the image has none';
  stderr.write(
    `\nThe step failed with exit code ${exitCode}. This is a shell in its sandbox. The build ` +
      'ends when you leave the shell.\n\n',
  );
  const env = spec.env.some((entry) => entry.startsWith('TERM='))
    ? spec.env
    : [...spec.env, `TERM=${process.env['TERM'] ?? 'xterm'}`];
  await executor.run(
    { ...spec, args: [shell], env },
    { lent: standardStreams(), output: () => {} },
    signal,
  );
  return undefined;
}

/** Returns the path of the shell that ran the step, else of a common shell that the image has. */
function shellOf({ args: [program = ''], rootfs }: FailedStep['spec']): string | undefined {
  using root = openRoot(rootfs);
  const own =
    /^(ba|da|a|z|k)?sh$/.test(basename(program)) && program.startsWith('/') ? [program] : [];
  return [...own, ...SHELLS].find((path) => root.stat(path) !== undefined);
}
