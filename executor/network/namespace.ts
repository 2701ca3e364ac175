import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { CLONE } from '../../snapshotter/sys/constants.ts';
import { setns, unshare } from '../../snapshotter/sys/mount.ts';

/**
 * Network namespaces by descriptor. A namespace belongs to a thread: the main thread, which also spawns all children, steps into
 * another one and back within one synchronous call, so nothing else ever runs there.
 */

const OWN = '/proc/thread-self/ns/net';

/**
 * A new, empty network namespace; lives while the descriptor, or a process in it, does. Needs CAP_SYS_ADMIN. No IPv6 but on its
 * loopback interface: there is no address to give, and with a link-local one it would reach the host.
 */
export function makeNetworkNamespace(): number {
  return away(() => {
    unshare(CLONE.NEWNET);
    turnOffIpv6('default');
    return openSync(OWN, 'r');
  });
}

/** Runs `action` in the namespace; what it spawns stays there. Must not be asynchronous. */
export function within<T>(namespace: number, action: () => T): T {
  return away(() => {
    setns(namespace, CLONE.NEWNET);
    return action();
  });
}

/** No IPv6 on an interface of the namespace that this thread is in; `default` means those that come. */
export function turnOffIpv6(name: string): void {
  try {
    writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1');
  } catch {
    // This kernel has no IPv6, or /proc/sys is read-only.
  }
}

function away<T>(action: () => T): T {
  const home = openSync(OWN, 'r');
  try {
    return action();
  } finally {
    setns(home, CLONE.NEWNET);
    closeSync(home);
  }
}

/**
 * True when TCP connections are left in the namespace, as they are for a minute after a process that had some is gone. They hold
 * ports, so the next step would see that it is not the first.
 */
export function hasConnections(namespace: number): boolean {
  return within(namespace, () =>
    ['tcp', 'tcp6'].some((name) => {
      try {
        return readFileSync(`/proc/thread-self/net/${name}`, 'latin1').trimEnd().includes('\n');
      } catch {
        return false;
      }
    }),
  );
}
