import { accessSync, constants } from 'node:fs';

/** Administration programs live in sbin, which is in the PATH of no ordinary user, cron job or systemd unit. */
const DIRECTORIES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/**
 * The path of a program of the host, or undefined: the one way in which Kiln looks for a program, and in which `kiln doctor` does. Where programs
 * usually are comes before `searchPath`, which is the caller's PATH.
 */
export function findProgram(name: string, searchPath: string | undefined = process.env['PATH']): string | undefined {
  const more = (searchPath ?? '').split(':').filter((directory) => directory.startsWith('/'));
  return [...DIRECTORIES, ...more].map((directory) => `${directory}/${name}`).find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
