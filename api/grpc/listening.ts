import { chmodSync, chownSync, lstatSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { osError } from '../../base/oserror.ts';
import { type ListenAddress, listenAddressText } from './listen-address.ts';
import type { TlsIdentity } from './tls.ts';

/** How a server accepts connections. */
export interface ConnectionOptions {
  /** For connections over a network. Without it they are not encrypted. */
  readonly tls?: TlsIdentity | undefined;
  /** The group that may connect to a socket in the file system: its id. */
  readonly group?: number | undefined;
  /** Called for each connection when it opens, and when it has closed. */
  readonly opened?: (() => void) | undefined;
  readonly closed?: (() => void) | undefined;
}

/**
 * Listens on an address, which `flag` has given. A socket in the file system belongs to `group`.
 * Throws KILN_ADDRESS_UNUSABLE.
 */
export async function listenOn(
  server: Server,
  address: ListenAddress,
  group: number | undefined,
  flag: string,
): Promise<void> {
  if (address.kind === 'unix') await removeStale(address.path, flag);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  if (address.kind === 'unix') {
    // The socket has its mode from the beginning: nobody may connect before it is changed.
    const before = process.umask(0o117);
    server.listen(address.path, resolve);
    process.umask(before);
  } else if (address.kind === 'fd') server.listen({ fd: address.socket.fd }, resolve);
  else server.listen(address.port, address.host, resolve);
  try {
    await promise;
  } catch (error) {
    throw osError(error, {
      code: 'KILN_ADDRESS_UNUSABLE',
      what: `cannot listen on ${listenAddressText(address)}`,
      place: { kind: 'flag', flag },
    });
  }
  if (address.kind !== 'unix') return;
  if (group !== undefined) giveToGroup(address.path, group);
  chmodSync(address.path, 0o660);
}

function giveToGroup(path: string, group: number): void {
  try {
    chownSync(path, -1, group);
  } catch (error) {
    throw osError(error, {
      code: 'KILN_ADDRESS_UNUSABLE',
      what: `the socket ${path} cannot be given to the group ${group}`,
      place: { kind: 'flag', flag: '--group' },
    });
  }
}

/** Removes the socket file of a server that was killed. Throws when a server answers there. */
async function removeStale(path: string, flag: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isSocket()) return;
  const answered = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      resolve(true);
      probe.destroy();
    });
    probe.once('error', (error) => resolve(errnoOf(error) !== 'ECONNREFUSED'));
  });
  if (answered)
    throw new KilnError('KILN_ADDRESS_UNUSABLE', `another server listens on unix://${path}`, {
      place: { kind: 'flag', flag },
      hint: 'end that server, or name another socket',
    });
  rmSync(path, { force: true });
}
