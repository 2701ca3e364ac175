import { spawn } from 'node:child_process';

/**
 * Has the store at `root` collected by the policies of kiln.toml, by a process of its own that
 * nobody waits for.
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
