import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { programsOn } from '../executor/find-program.ts';
import { installCommand } from '../executor/probe.ts';
import { keepOnExec } from '../snapshotter/sys/descriptors.ts';
import { stderr } from './output.ts';
import { passedSockets } from './passed-sockets.ts';
import { homeDirectory, userName } from './user-directories.ts';

/**
 * # Kiln run by an ordinary user
 *
 * Kiln becomes root of a user namespace. It replaces itself with unshare(1), which starts Kiln
 * again in the namespace and has newuidmap(1) and newgidmap(1) map the user's subordinate ids
 * (subuid(5)). From then on Kiln works as for root. `snapshotter/sys/usernamespace.ts` knows the
 * differences. Kiln has no setuid program of its own, and no parent process remains.
 *
 * Without subordinate ids, only the user's own id is mapped, to root. Then no file can belong to
 * another user. Such builds have a separate store, so that other builds never use their layers.
 */
export type IdMap = 'all' | 'own';

/**
 * Says which ids are mapped in the user namespace that Kiln runs in: all subordinate ids, or only
 * the user's own. Undefined when Kiln runs as root of the machine, outside a user namespace.
 */
export function rootlessMap(env: NodeJS.ProcessEnv = process.env): IdMap | undefined {
  const value = env['KILN_ROOTLESS'];
  return process.getuid?.() === 0 && (value === 'all' || value === 'own') ? value : undefined;
}

/** What Kiln asks about an ordinary user and the host. Tests replace it. */
export interface UserHost {
  /**
   * The name of the user. Undefined for an id that is not in /etc/passwd: newuidmap(1) maps no ids
   * for it.
   */
  readonly user: string | undefined;
  readonly uid: number;
  /** Returns the path of a program, or undefined when it is not installed. */
  find(program: string): string | undefined;
  /** Returns the text of a file, or undefined when it cannot be read. */
  read(path: string): string | undefined;
  /**
   * Tries to make a user namespace with the unshare(1) at the path `unshare`. Returns the error
   * message, or undefined when it works.
   */
  tryNamespace(unshare: string): string | undefined;
}

/**
 * Returns how an ordinary user can build on this host: the path of unshare(1), and which ids can be
 * mapped. Throws KILN_NEEDS_ROOT, which says what is missing.
 */
export function planRootless(host: UserHost): { readonly unshare: string; readonly map: IdMap } {
  const forbidding = forbiddingSetting(host.read);
  if (forbidding) {
    const { setting, value, required } = forbidding;
    throw needsRoot(
      `${setting} is ${value} on this host`,
      `run 'sudo sysctl -w ${setting}=${required}', or run Kiln with sudo`,
    );
  }
  const unshare = host.find('unshare');
  if (!unshare)
    throw needsRoot(
      'unshare(1) is not installed',
      'install util-linux 2.38 or later, or run Kiln with sudo',
    );
  const failure = namespaceFailure(host, unshare);
  if (failure !== undefined)
    throw needsRoot(`none can be made on this host (${failure})`, ALLOW_NAMESPACES);
  return { unshare, map: missingForSubordinateIds(host) === undefined ? 'all' : 'own' };
}

/**
 * Returns why a user namespace cannot be made, or undefined when it can. Tries it only inside a
 * container or under a seccomp filter, because the attempt starts a process.
 */
export function namespaceFailure(host: UserHost, unshare: string): string | undefined {
  return isConfined(host.read) ? host.tryNamespace(unshare) : undefined;
}

/** The hint for a container that allows no user namespaces. */
export const ALLOW_NAMESPACES =
  'run the container around Kiln with --security-opt seccomp=unconfined and --security-opt ' +
  'apparmor=unconfined, or Kiln as root with --privileged';

/**
 * Says whether a seccomp filter or no_new_privs is set. Containers have one, login shells do not.
 */
function isConfined(read: UserHost['read']): boolean {
  return statusField(read, 'Seccomp') !== '0' || statusField(read, 'NoNewPrivs') === '1';
}

function statusField(read: UserHost['read'], name: string): string {
  return new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(read('/proc/self/status') ?? '')?.[1] ?? '0';
}

/**
 * Returns why only the user's own id can be mapped, and how to fix that. Undefined when subordinate
 * ids can be mapped, too.
 */
export function missingForSubordinateIds(
  host: UserHost,
): { readonly why: string; readonly fix: string } | undefined {
  const { user, uid, read, find } = host;
  if (user === undefined)
    return {
      why: `the user id ${uid} has no name`,
      fix:
        `add a line for the user id ${uid} to /etc/passwd, and a range of ids to /etc/subuid ` +
        'and /etc/subgid',
    };
  if (statusField(read, 'NoNewPrivs') === '1')
    return {
      why: 'newuidmap cannot work without new privileges',
      fix: 'start Kiln without no-new-privileges',
    };
  const ranges = ['/etc/subuid', '/etc/subgid'].every((file) => hasRange(host, file));
  const helpers = find('newuidmap') && find('newgidmap');
  if (ranges && helpers) return undefined;
  const steps = [
    ...(ranges ? [] : [giveIds(host)]),
    ...(helpers
      ? []
      : [`sudo ${installCommand({ apt: 'uidmap', dnf: 'shadow-utils', apk: 'shadow-uidmap' })}`]),
  ];
  return {
    why: ranges ? 'newuidmap is not installed' : 'the user has no subordinate ids',
    fix: steps.join(' && '),
  };
}

/** Says whether `file` gives the user enough ids for every user that an image may contain. */
function hasRange({ user, uid, read }: UserHost, file: string): boolean {
  return (read(file) ?? '').split('\n').some((line) => {
    const [name, , count] = line.split(':');
    return (name === user || name === String(uid)) && Number(count) >= 65535;
  });
}

/** A kernel setting that forbids user namespaces to ordinary users, and the value that it needs. */
export interface ForbiddingSetting {
  readonly setting: string;
  readonly value: string;
  readonly required: number;
}

const SETTINGS: readonly [setting: string, allows: (value: number) => boolean, required: number][] =
  [
    ['user.max_user_namespaces', (value) => value > 0, 15000],
    ['kernel.unprivileged_userns_clone', (value) => value === 1, 1],
    ['kernel.apparmor_restrict_unprivileged_userns', (value) => value === 0, 0],
  ];

/** Returns the first kernel setting that forbids user namespaces, or undefined. */
export function forbiddingSetting(read: UserHost['read']): ForbiddingSetting | undefined {
  for (const [setting, allows, required] of SETTINGS) {
    const value = read(`/proc/sys/${setting.replaceAll('.', '/')}`)?.trim();
    if (value !== undefined && !allows(Number(value))) return { setting, value, required };
  }
  return undefined;
}

function needsRoot(why: string, hint: string): KilnError {
  return new KilnError(
    'KILN_NEEDS_ROOT',
    `as an ordinary user Kiln needs a user namespace, and ${why}`,
    { hint },
  );
}

/** Returns a command that gives the user a range of subordinate ids that no other user has. */
function giveIds({ user, read }: UserHost): string {
  const ends = ['/etc/subuid', '/etc/subgid'].flatMap((file) =>
    (read(file) ?? '').split('\n').map((line) => {
      const [, first, count] = line.split(':').map(Number);
      return (first ?? 0) + (count ?? 0);
    }),
  );
  const first = Math.max(FIRST_ID, ...ends.filter(Number.isFinite));
  const range = `${first}-${first + 65535}`;
  return `sudo usermod --add-subuids ${range} --add-subgids ${range} ${user}`;
}

/** The first subordinate id that useradd(8) assigns (SUB_UID_MIN of login.defs(5)). */
const FIRST_ID = 100_000;

/**
 * Replaces this process with Kiln running as root of a user namespace. Never returns. Throws
 * KILN_NEEDS_ROOT when that is not possible.
 */
export function enterUserNamespace(): never {
  const user = localUser();
  const { unshare, map } = planRootless(user);
  const missing = map === 'own' ? missingForSubordinateIds(user) : undefined;
  if (missing) {
    stderr.write(
      `WARNING: you have no subordinate ids (${missing.why}): all files in the image will ` +
        'belong to root\n' +
        `  to fix this: ${missing.fix}\n`,
    );
  }
  const ids = map === 'all' ? ['--map-auto', '--map-root-user'] : ['--map-root-user'];
  const program = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  keepPassedSockets();
  process.execve?.(unshare, [unshare, '--user', ...ids, '--', ...program], {
    ...process.env,
    // Without HOME, programs would use the home directory of root.
    HOME: homeDirectory(process.env),
    KILN_ROOTLESS: map,
  });
  throw needsRoot(
    'this version of Node cannot replace its process',
    'use the Node that Kiln ships, or run Kiln with sudo',
  );
}

/** Node closes inherited descriptors on exec, but sockets of systemd are for `kiln serve`. */
function keepPassedSockets(): void {
  for (const { fd } of passedSockets(process.env, process.pid)) keepOnExec(fd);
}

/** Returns the current user and this host. */
export function localUser(): UserHost {
  return {
    user: userName(),
    uid: process.getuid?.() ?? -1,
    find: programsOn(process.env['PATH']),
    read(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    tryNamespace(unshare) {
      // unshare runs itself in the namespace: that program certainly exists, and prints its version
      // without reading a file.
      const {
        status,
        stderr: output,
        error,
      } = spawnSync(unshare, ['--user', '--map-root-user', '--', unshare, '--version'], {
        encoding: 'utf8',
      });
      if (status === 0) return undefined;
      return (
        error?.message ??
        output
          .trim()
          .split('\n')[0]
          ?.replace(/^unshare: /, '') ??
        `exit code ${status}`
      );
    },
  };
}
