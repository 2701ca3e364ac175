import { accessSync, constants, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { KilnError } from '../base/errors.ts';
import { stderr } from './output.ts';

/**
 * # An ordinary user
 *
 * Becomes root of a user namespace: the program starts again below unshare(1), which has newuidmap(1) and newgidmap(1) map the user's
 * subordinate ids (subuid(5)). Everything else works as for root from there; what is different in a user namespace is told by
 * `snapshotter/sys/usernamespace.ts`. No set-id helper of ours, and no process stays above us.
 *
 * Without subordinate ids only the user's own id is mapped, to root: then no file can belong to anybody else, and such builds have a store of their
 * own, so that their layers never pass for right ones.
 */
export type IdMap = 'all' | 'own';

/** How ids are mapped here; undefined for root of the machine. */
export function rootlessMap(env: NodeJS.ProcessEnv = process.env): IdMap | undefined {
  const value = env['KILN_ROOTLESS'];
  return process.getuid?.() === 0 && (value === 'all' || value === 'own') ? value : undefined;
}

/** What is looked at; tests put another host here. */
export interface UserHost {
  readonly user: string;
  readonly uid: number;
  readonly searchPath: string;
  /** The text of a file, or undefined. */
  read(path: string): string | undefined;
  isExecutable(path: string): boolean;
}

/** How an ordinary user can build on this host. Throws KILN_NEEDS_ROOT with what is missing. */
export function planRootless(host: UserHost): { readonly unshare: string; readonly map: IdMap } {
  const find = (name: string) =>
    host.searchPath
      .split(delimiter)
      .map((directory) => join(directory, name))
      .find((path) => host.isExecutable(path));
  const refusal = refusedBy(host.read);
  if (refusal) {
    const { setting, value, wanted } = refusal;
    throw needsRoot(`${setting} is ${value} on this host`, `sudo sysctl -w ${setting}=${wanted}, or use sudo for Kiln`);
  }
  const unshare = find('unshare');
  if (!unshare) throw needsRoot('unshare(1) is not installed', 'install util-linux 2.38 or later, or use sudo');
  const helpers = find('newuidmap') && find('newgidmap');
  const ranges = ['/etc/subuid', '/etc/subgid'].every((file) => hasRange(host, file));
  return { unshare, map: helpers && ranges ? 'all' : 'own' };
}

/** Ids enough for every user that an image may name. */
function hasRange({ user, uid, read }: UserHost, file: string): boolean {
  return (read(file) ?? '').split('\n').some((line) => {
    const [name, , count] = line.split(':');
    return (name === user || name === String(uid)) && Number(count) >= 65535;
  });
}

/** A setting that keeps ordinary users from making user namespaces, and the value that it must have. */
export interface Refusal {
  readonly setting: string;
  readonly value: string;
  readonly wanted: number;
}

const SETTINGS: readonly [setting: string, isWell: (value: number) => boolean, wanted: number][] = [
  ['user.max_user_namespaces', (value) => value > 0, 15000],
  ['kernel.unprivileged_userns_clone', (value) => value === 1, 1],
  ['kernel.apparmor_restrict_unprivileged_userns', (value) => value === 0, 0],
];

/** The first setting of the kernel that is in the way. */
export function refusedBy(read: UserHost['read']): Refusal | undefined {
  for (const [setting, isWell, wanted] of SETTINGS) {
    const value = read(`/proc/sys/${setting.replaceAll('.', '/')}`)?.trim();
    if (value !== undefined && !isWell(Number(value))) return { setting, value, wanted };
  }
  return undefined;
}

function needsRoot(why: string, hint: string): KilnError {
  return new KilnError('KILN_NEEDS_ROOT', `as an ordinary user Kiln needs a user namespace, and ${why}`, { hint });
}

/** What gives a user subordinate ids. */
export function giveIds(user: string): string {
  return `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user}, and install uidmap (newuidmap)`;
}

/** Starts this program again as root of a user namespace; returns only by throwing. */
export function enterUserNamespace(): never {
  const { unshare, map } = planRootless(thisUser());
  if (map === 'own') {
    stderr.write(
      'WARNING: you have no subordinate ids (/etc/subuid, /etc/subgid, newuidmap): all files in the image will belong to root\n' +
        `  to mend: ${giveIds(userInfo().username)}\n`,
    );
  }
  const ids = map === 'all' ? ['--map-auto', '--map-root-user'] : ['--map-root-user'];
  const program = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve?.(unshare, [unshare, '--user', ...ids, '--', ...program], { ...process.env, KILN_ROOTLESS: map });
  throw needsRoot('this Node cannot replace its process', 'use the Node that Kiln ships, or sudo');
}

export function thisUser(): UserHost {
  return {
    user: userInfo().username,
    uid: process.getuid?.() ?? -1,
    searchPath: process.env['PATH'] ?? '/usr/bin:/bin',
    read(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    isExecutable(path) {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    },
  };
}
