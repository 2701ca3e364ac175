import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { programsOn } from '../executor/find-program.ts';
import { installCommand } from '../executor/probe.ts';
import { stderr } from './output.ts';
import { homeDirectory, userName } from './user-directories.ts';

/**
 * # An ordinary user
 *
 * Becomes root of a user namespace: the program starts again below unshare(1), which has
 * newuidmap(1) and newgidmap(1) map the user's subordinate ids (subuid(5)). Everything else works
 * as for root from there; what is different in a user namespace is told by
 * `snapshotter/sys/usernamespace.ts`. No set-id helper of ours, and no process stays above us.
 *
 * Without subordinate ids only the user's own id is mapped, to root: then no file can belong to
 * anybody else, and such builds have a store of their own, so that their layers never pass for
 * right ones.
 */
export type IdMap = 'all' | 'own';

/** How ids are mapped here; undefined for root of the machine. */
export function rootlessMap(env: NodeJS.ProcessEnv = process.env): IdMap | undefined {
  const value = env['KILN_ROOTLESS'];
  return process.getuid?.() === 0 && (value === 'all' || value === 'own') ? value : undefined;
}

/** What is looked at; tests put another host here. */
export interface UserHost {
  /**
   * The name; undefined for an id that passwd does not know, for which newuidmap(1) maps nothing.
   */
  readonly user: string | undefined;
  readonly uid: number;
  /** The path of a program, or undefined. */
  find(program: string): string | undefined;
  /** The text of a file, or undefined. */
  read(path: string): string | undefined;
  /**
   * Makes a user namespace by unshare(1) at that path and leaves it again: what was said against
   * it, or undefined.
   */
  tries(unshare: string): string | undefined;
}

/** How an ordinary user can build on this host. Throws KILN_NEEDS_ROOT with what is missing. */
export function planRootless(host: UserHost): { readonly unshare: string; readonly map: IdMap } {
  const refusal = refusedBy(host.read);
  if (refusal) {
    const { setting, value, wanted } = refusal;
    throw needsRoot(
      `${setting} is ${value} on this host`,
      `sudo sysctl -w ${setting}=${wanted}, or use sudo for Kiln`,
    );
  }
  const unshare = host.find('unshare');
  if (!unshare)
    throw needsRoot('unshare(1) is not installed', 'install util-linux 2.38 or later, or use sudo');
  const complaint = complaintOf(host, unshare);
  if (complaint !== undefined)
    throw needsRoot(`none can be made here (${complaint})`, ALLOW_NAMESPACES);
  return { unshare, map: missingForIds(host) === undefined ? 'all' : 'own' };
}

/**
 * What is said against a user namespace. Asked only where a filter or a container is in the way of
 * some things: it costs a process.
 */
export function complaintOf(host: UserHost, unshare: string): string | undefined {
  return isConfined(host.read) ? host.tries(unshare) : undefined;
}

export const ALLOW_NAMESPACES =
  'run the container around Kiln with --security-opt seccomp=unconfined and --security-opt ' +
  'apparmor=unconfined, or Kiln as root with --privileged';

/** A seccomp filter, or no new privileges: what a container has and a shell has not. */
function isConfined(read: UserHost['read']): boolean {
  return statusField(read, 'Seccomp') !== '0' || statusField(read, 'NoNewPrivs') === '1';
}

function statusField(read: UserHost['read'], name: string): string {
  return new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(read('/proc/self/status') ?? '')?.[1] ?? '0';
}

/**
 * Why other ids than the user's own cannot be mapped, and what mends it; undefined when they can.
 */
export function missingForIds(
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

/** Ids enough for every user that an image may name. */
function hasRange({ user, uid, read }: UserHost, file: string): boolean {
  return (read(file) ?? '').split('\n').some((line) => {
    const [name, , count] = line.split(':');
    return (name === user || name === String(uid)) && Number(count) >= 65535;
  });
}

/**
 * A setting that keeps ordinary users from making user namespaces, and the value that it must have.
 */
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
  return new KilnError(
    'KILN_NEEDS_ROOT',
    `as an ordinary user Kiln needs a user namespace, and ${why}`,
    { hint },
  );
}

/** What gives a user subordinate ids that nobody else has. */
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

/** Where useradd(8) begins. */
const FIRST_ID = 100_000;

/** Starts this program again as root of a user namespace; returns only by throwing. */
export function enterUserNamespace(): never {
  const user = thisUser();
  const { unshare, map } = planRootless(user);
  const missing = map === 'own' ? missingForIds(user) : undefined;
  if (missing) {
    stderr.write(
      `WARNING: you have no subordinate ids (${missing.why}): all files in the image will ` +
        'belong to root\n' +
        `  to mend: ${missing.fix}\n`,
    );
  }
  const ids = map === 'all' ? ['--map-auto', '--map-root-user'] : ['--map-root-user'];
  const program = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve?.(unshare, [unshare, '--user', ...ids, '--', ...program], {
    ...process.env,
    // The namespace's root has another.
    HOME: homeDirectory(process.env),
    KILN_ROOTLESS: map,
  });
  throw needsRoot('this Node cannot replace its process', 'use the Node that Kiln ships, or sudo');
}

export function thisUser(): UserHost {
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
    tries(unshare) {
      // The program itself is there for certain, and says its version without a file.
      const {
        status,
        stderr: said,
        error,
      } = spawnSync(unshare, ['--user', '--map-root-user', '--', unshare, '--version'], {
        encoding: 'utf8',
      });
      if (status === 0) return undefined;
      return (
        error?.message ??
        said
          .trim()
          .split('\n')[0]
          ?.replace(/^unshare: /, '') ??
        `exit code ${status}`
      );
    },
  };
}
