import { accessSync, constants } from 'node:fs';

/** The path of a program of the host, or undefined: the one way in which Kiln looks for a program, and in which `kiln doctor` does. */
export type FindProgram = (name: string) => string | undefined;

/** Administration programs live in sbin, which is in the PATH of no ordinary user, cron job or systemd unit. */
const USUAL = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where programs usually are, then on `searchPath`, which is the caller's PATH. */
export function programsOn(searchPath: string | undefined): FindProgram {
  return programsIn(`${USUAL}:${searchPath ?? ''}`);
}

/** Only in the directories of `searchPath`. */
export function programsIn(searchPath: string): FindProgram {
  const directories = searchPath.split(':').filter((directory) => directory.startsWith('/'));
  return (name) => directories.map((directory) => `${directory}/${name}`).find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
