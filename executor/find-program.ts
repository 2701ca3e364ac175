import { accessSync, constants } from 'node:fs';

/**
 * Finds a program of the host: its path, or undefined. Kiln and `kiln doctor` look for programs in
 * no other way.
 */
export type FindProgram = (name: string) => string | undefined;

/**
 * Administration programs are in sbin, which is not in the PATH of ordinary users, cron jobs and
 * systemd units.
 */
const USUAL = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Looks where programs usually are, then on `searchPath`, which is the caller's PATH. */
export function programsOn(searchPath: string | undefined): FindProgram {
  return programsIn(`${USUAL}:${searchPath ?? ''}`);
}

/** Looks only in the directories of `searchPath`. */
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
