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
 * A network namespace by descriptor; it lives while the descriptor, or a process in it, does. It has no IPv6 but on its loopback
 * interface: there is no address to give, and with a link-local one it would reach the host.
 */
export interface Namespace {
  readonly fd: number;
  /**
   * True when TCP connections are left in it, as they are for a minute after a process that had some is gone. They hold ports, so
   * the next step would see that it is not the first.
   */
  hasConnections(): boolean;
  /** Closes the descriptor; resolves when nothing of ours is in it. */
  close(): Promise<void>;
}

/** A new, empty one. Throws NetworkUnavailable where none can be made. */
export async function makeNamespace(find: FindProgram): Promise<Namespace> {
  return inUserNamespace() ? await heldNamespace(find) : ownNamespace();
}

const OWN = '/proc/thread-self/ns/net';
const IPV6 = '/proc/sys/net/ipv6/conf';

/** Root steps into it and back: a namespace belongs to a thread, so within one synchronous call nothing else runs there. */
function ownNamespace(): Namespace {
  const fd = away(() => {
    unshare(CLONE.NEWNET);
    turnOffIpv6('default');
    return openSync(OWN, 'r');
  });
  return {
    fd,
    hasConnections: () => within(fd, () => connectionsOf('/proc/thread-self')),
    close: async () => closeSync(fd),
  };
}

/** Runs `action` in the namespace; what it spawns stays there. Must not be asynchronous. Not for ordinary users, who cannot come back. */
export function within<T>(namespace: number, action: () => T): T {
  return away(() => {
    setns(namespace, CLONE.NEWNET);
    return action();
  });
}

function away<T>(action: () => T): T {
  if (inUserNamespace()) throw new Error('in a user namespace there is no way back');
  const home = openSync(OWN, 'r');
  try {
    return action();
  } finally {
    setns(home, CLONE.NEWNET);
    closeSync(home);
  }
}

/** No IPv6 on an interface of the namespace that this thread is in; `default` means those that come. */
export function turnOffIpv6(name: string): void {
  try {
    writeFileSync(`${IPV6}/${name}/disable_ipv6`, '1');
  } catch {
    // This kernel has no IPv6, or /proc/sys is read-only.
  }
}

/**
 * Who is root of a user namespace only could not come back to the network that belongs to the machine, so there a process stays in
 * the new one, until the pipe to us closes.
 */
async function heldNamespace(find: FindProgram): Promise<Namespace> {
  const unshareTool = find('unshare');
  if (unshareTool === undefined) throw new NetworkUnavailable('the program unshare is not installed (package util-linux)');
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
    pid = launch({ path: unshareTool, args, env: ['PATH=/usr/bin:/bin'], stdio: [input.read, output.write, nothing] });
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

/** By the counters: the list of connections (net/tcp) takes 10 ms to be read, as the kernel walks the tables of all namespaces for it. */
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
 * `TCP: inuse 0 orphan 0 tw 0 …` (proc_pid_net(5)): `tw` are those that only wait for the end of their minute. `orphan` counts those of all
 * namespaces, so it says nothing; the orphans of this one are in use.
 */
export function hasTcp(sockstat: string): boolean {
  const line = /^TCP6?:.*$/m.exec(sockstat)?.[0] ?? '';
  return [...line.matchAll(/(?:inuse|tw) (\d+)/g)].some(([, count]) => count !== '0');
}
