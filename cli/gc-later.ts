import { spawn } from 'node:child_process';

/**
 * Starts a process that collects the store at `root` by the policies of kiln.toml, and does not
 * wait for it.
 */
export function collectLater(root: string): void {
  const child = spawn(
    process.execPath,
    [process.argv[1] ?? '', 'prune', '--auto', '--root', root],
    {
      detached: true,
      stdio: 'ignore',
      cwd: '/',
    },
  );
  // A later build tries again.
  child.on('error', () => {});
  child.unref();
}
