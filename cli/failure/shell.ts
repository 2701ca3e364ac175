import { basename } from 'node:path';
import type { Executor } from '../../executor/executor.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import type { FailedStep } from '../../solver/step-session.ts';
import { stderr } from '../output.ts';
import { ownStreams } from '../terminal/lend.ts';

const SHELLS = ['/bin/bash', '/bin/sh', '/usr/bin/bash', '/usr/bin/sh', '/busybox/sh'];

/**
 * Lends the terminal to a shell in the sandbox of a failed step: its tree, mounts, variables, user
 * and directory. Answers what to tell when there is no shell in the tree.
 */
export async function openFailureShell(
  { spec, exitCode }: FailedStep,
  executor: Executor,
  signal: AbortSignal,
): Promise<string | undefined> {
  const shell = shellOf(spec);
  if (shell === undefined) return 'no shell is opened: the image has none';
  stderr.write(
    `\nThe step ended with exit code ${exitCode}. This is a shell in its sandbox, as it was ` +
      'left; the build ends with the shell.\n\n',
  );
  const env = spec.env.some((entry) => entry.startsWith('TERM='))
    ? spec.env
    : [...spec.env, `TERM=${process.env['TERM'] ?? 'xterm'}`];
  await executor.run(
    { ...spec, args: [shell], env },
    { lent: ownStreams(), output: () => {} },
    signal,
  );
  return undefined;
}

/** The shell of the step itself, else a usual one that the tree has. */
function shellOf({ args: [program = ''], rootfs }: FailedStep['spec']): string | undefined {
  using root = openRoot(rootfs);
  const own =
    /^(ba|da|a|z|k)?sh$/.test(basename(program)) && program.startsWith('/') ? [program] : [];
  return [...own, ...SHELLS].find((path) => root.stat(path) !== undefined);
}
