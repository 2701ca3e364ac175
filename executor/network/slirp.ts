import { closeSync, openSync } from 'node:fs';
import { launch } from '../../snapshotter/sys/launch.ts';
import type { FindProgram } from '../find-program.ts';
import { closeAll, drain, makePipe } from '../pipes.ts';
import { reap } from '../spawn.ts';
import { makeNamespace, type Namespace } from './namespace.ts';
import { type Network, NetworkUnavailable } from './network.ts';
import { createNamespacePool } from './pool.ts';
import type { Enter } from './tool.ts';

/**
 * A network by slirp4netns: each namespace has a slirp4netns process, which carries its connections
 * through sockets of its own. It is slower than the kernel, but changes nothing on the host. It
 * works where the host's firewall forwards nothing, and needs no privilege outside of the
 * namespace. It ends when the pipe to this process closes, so also when this process is killed.
 */
const RESOLVER = '10.0.2.3';
const TUN = '/dev/net/tun';

/** The path of the program, or why it cannot work. */
export function slirpTool(find: FindProgram): { readonly path: string } | string {
  const path = find('slirp4netns');
  return path === undefined ? 'slirp4netns is not installed' : { path };
}

/**
 * Opens the network. `outside` starts slirp4netns where /dev/net/tun may be opened, because the
 * control group of the sandboxes forbids that. Throws NetworkUnavailable when the program is
 * missing or does not start.
 */
export async function openSlirp(outside: Enter, find: FindProgram): Promise<Network> {
  const tool = slirpTool(find);
  if (typeof tool === 'string') throw new NetworkUnavailable(tool);
  const pool = createNamespacePool(() => makeServed(tool.path, outside, find));
  // The first namespace shows whether slirp4netns works at all. It then waits for the first
  // sandbox.
  (await pool.lease()).release(false);
  return {
    kind: 'slirp',
    resolver: RESOLVER,
    lease: () => pool.lease(),
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

async function makeServed(program: string, outside: Enter, find: FindProgram): Promise<Namespace> {
  const namespace = await makeNamespace(find);
  const { fd } = namespace;
  try {
    const [ready, exit, err] = [makePipe(), makePipe(), makePipe()];
    const nothing = openSync('/dev/null', 'r+');
    const args = [
      '--configure',
      '--mtu=65520',
      // Servers on the host's loopback stay out of reach. Only the host's resolver can be asked,
      // through slirp4netns.
      '--disable-host-loopback',
      '--enable-sandbox',
      '--enable-seccomp',
      '--netns-type=path',
      '--ready-fd=3',
      '--exit-fd=4',
      `/proc/${process.pid}/fd/${fd}`,
      'tap0',
    ];
    let pid: number;
    try {
      const stdio = [nothing, nothing, err.write, ready.write, exit.read];
      pid = outside(() => launch({ path: program, args, env: [], stdio }));
    } finally {
      closeAll([nothing, err.write, ready.write, exit.read]);
    }
    await begun(pid, ready.read, err.read, exit.write);
    return {
      ...namespace,
      async close() {
        closeSync(exit.write);
        await reap(pid);
        await namespace.close();
      },
    };
  } catch (error) {
    await namespace.close();
    throw error;
  }
}

/** Waits until the program says that the namespace is configured, or ends. */
async function begun(pid: number, ready: number, err: number, exit: number): Promise<void> {
  let said = '';
  let complaint = '';
  const complaints = drain(err, (data) => {
    complaint = (complaint + Buffer.from(data).toString()).slice(-2000);
  });
  complaints.catch(() => {});
  await drain(ready, (data) => {
    said += Buffer.from(data).toString();
  });
  if (said.startsWith('1')) return;
  closeSync(exit);
  await reap(pid);
  await complaints;
  throw new NetworkUnavailable(
    `slirp4netns does not start (${complaint.trim().split('\n').at(-1) || `no access to ${TUN}`})`,
  );
}
