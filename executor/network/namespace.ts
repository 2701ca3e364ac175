import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { CLONE } from '../../snapshotter/sys/constants.ts';
import { launch } from '../../snapshotter/sys/launch.ts';
import { setns, unshare } from '../../snapshotter/sys/mount.ts';
import { inUserNamespace } from '../../snapshotter/sys/usernamespace.ts';
import type { FindProgram } from '../find-program.ts';
import { closeAll, drain, makePipe } from '../pipes.ts';
import { reap } from '../spawn.ts';
import { NetworkUnavailable } from './network.ts';

/**
 * A network namespace by descriptor. It exists as long as the descriptor is open or a process is in
 * it. IPv6 is off except on loopback: Kiln has no IPv6 address to give, and a link-local address
 * would reach the host.
 */
export interface Namespace {
  readonly fd: number;
  /**
   * True when TCP connections are left in it. They remain for a minute after their process ends and
   * hold ports, so the next step could tell that it is not the first.
   */
  hasConnections(): boolean;
  /** Closes the descriptor. Resolves when no process of Kiln is in the namespace. */
  close(): Promise<void>;
}

/** Makes a new, empty namespace. Throws NetworkUnavailable where none can be made. */
export async function makeNamespace(find: FindProgram): Promise<Namespace> {
  return inUserNamespace() ? await heldNamespace(find) : ownNamespace();
}

const OWN_NAMESPACE = '/proc/thread-self/ns/net';
const IPV6 = '/proc/sys/net/ipv6/conf';

/**
 * Root enters a new namespace and returns. A namespace belongs to a thread, so nothing else runs in
 * it during one synchronous call.
 */
function ownNamespace(): Namespace {
  const fd = away(() => {
    unshare(CLONE.NEWNET);
    turnOffIpv6('default');
    return openSync(OWN_NAMESPACE, 'r');
  });
  return {
    fd,
    hasConnections: () => within(fd, () => connectionsOf('/proc/thread-self')),
    close: async () => closeSync(fd),
  };
}

/**
 * Runs `action` in the namespace. Children that it spawns stay there. `action` must not be
 * asynchronous. Ordinary users cannot use this, because they cannot return.
 */
export function within<T>(namespace: number, action: () => T): T {
  return away(() => {
    setns(namespace, CLONE.NEWNET);
    return action();
  });
}

function away<T>(action: () => T): T {
  if (inUserNamespace()) throw new Error('in a user namespace there is no way back');
  const home = openSync(OWN_NAMESPACE, 'r');
  try {
    return action();
  } finally {
    setns(home, CLONE.NEWNET);
    closeSync(home);
  }
}

/** Turns IPv6 off on an interface of this thread's namespace. `default` means future interfaces. */
export function turnOffIpv6(name: string): void {
  try {
    writeFileSync(`${IPV6}/${name}/disable_ipv6`, '1');
  } catch {
    // This kernel has no IPv6, or /proc/sys is read-only.
  }
}

/**
 * Makes a namespace for a process that is root only in a user namespace. Such a process could not
 * return to the machine's network. So a child stays in the new namespace until its pipe to this
 * process closes.
 */
async function heldNamespace(find: FindProgram): Promise<Namespace> {
  const unshareTool = find('unshare');
  if (unshareTool === undefined)
    throw new NetworkUnavailable('the program unshare is not installed (package util-linux)');
  const [input, output] = [makePipe(), makePipe()];
  const nothing = openSync('/dev/null', 'r+');
  let pid: number;
  try {
    const args = [
      '--net',
      '/bin/sh',
      '-c',
      `echo 1 2>/dev/null >${IPV6}/default/disable_ipv6; echo ready; exec >&-; read -r end`,
    ];
    pid = launch({
      path: unshareTool,
      args,
      env: ['PATH=/usr/bin:/bin'],
      stdio: [input.read, output.write, nothing],
    });
  } finally {
    closeAll([input.read, output.write, nothing]);
  }
  let said = '';
  await drain(output.read, (data) => {
    said += Buffer.from(data).toString();
  });
  const leave = async () => {
    closeAll([input.write]);
    await reap(pid);
  };
  if (said !== 'ready\n') {
    await leave();
    throw new NetworkUnavailable('this user may not make a network namespace');
  }
  const fd = openSync(`/proc/${pid}/ns/net`, 'r');
  return {
    fd,
    hasConnections: () => connectionsOf(`/proc/${pid}`),
    async close() {
      closeSync(fd);
      await leave();
    },
  };
}

/**
 * Counts connections from the kernel's counters. The list of connections (net/tcp) takes 10 ms to
 * read, because the kernel walks the tables of all namespaces for it.
 */
function connectionsOf(process: string): boolean {
  return ['sockstat', 'sockstat6'].some((name) => {
    try {
      return hasTcp(readFileSync(`${process}/net/${name}`, 'latin1'));
    } catch {
      return false;
    }
  });
}

/**
 * Parses `TCP: inuse 0 orphan 0 tw 0 …` (proc_pid_net(5)). `tw` counts connections that wait for
 * their minute to end. `orphan` counts those of all namespaces, so it is ignored; orphans of this
 * namespace are in `inuse`.
 */
function hasTcp(sockstat: string): boolean {
  const line = /^TCP6?:.*$/m.exec(sockstat)?.[0] ?? '';
  return [...line.matchAll(/(?:inuse|tw) (\d+)/g)].some(([, count]) => count !== '0');
}
