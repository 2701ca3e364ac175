import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  type AddressInfo,
  createConnection,
  createServer,
  type Server,
  type Socket,
} from 'node:net';
import { networkInterfaces } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../../base/errors.ts';
import { programsOn } from '../find-program.ts';
import {
  makeTree,
  processesWith,
  shell,
  specFor,
  type TestTree,
  until,
  whyNot,
} from '../fixture.ts';
import { createExecutor } from '../runtime-executor.ts';
import { type NetworkKind, NetworkUnavailable } from './network.ts';
import { type NetworkFallback, openNetwork } from './open-network.ts';

const reason = whyNot();
if (reason) console.log(`SKIP network: ${reason}`);

const test = suite('network');
let tree: TestTree;
let loopback: Server;
let everywhere: Server;

test.before(async () => {
  tree = makeTree();
  // Sandboxes that run at once share the tree here, so no mount point may have to be made in it.
  for (const name of ['hosts', 'resolv.conf']) writeFileSync(tree.at(`etc/${name}`), '');
  [loopback, everywhere] = await Promise.all([serve('127.0.0.1'), serve('0.0.0.0')]);
});
test.after(() => {
  loopback.close();
  everywhere.close();
  tree[Symbol.dispose]();
});

/** Serves the word `canary` to every connection. */
async function serve(address: string): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => {}).end('canary\n'));
  server.listen(0, address);
  await once(server, 'listening');
  return server;
}

/**
 * A connection of this host whose server is gone and whose client does not read, so that the kernel
 * keeps the sent bytes.
 */
async function orphanedConnection(): Promise<Disposable> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = createConnection(portOf(server), '127.0.0.1').pause();
  client.on('error', () => {});
  const [socket] = (await once(server, 'connection')) as [Socket];
  socket.on('error', () => {});
  server.close();
  socket.write(Buffer.alloc(16 << 20));
  socket.destroy();
  await once(socket, 'close');
  assert.match(readFileSync('/proc/net/sockstat', 'latin1'), /^TCP: inuse \d+ orphan [1-9]/m);
  return { [Symbol.dispose]: () => void client.destroy() };
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;

/** An address of this host outside of loopback. */
function outerAddress(): string | undefined {
  return Object.values(networkInterfaces())
    .flat()
    .find((entry) => entry?.family === 'IPv4' && !entry.internal)?.address;
}

/** Why a kind of network cannot be tested here. */
function missing(kind: NetworkKind): string | undefined {
  const tools = kind === 'nat' ? ['nft'] : ['slirp4netns'];
  const findProgram = programsOn(process.env['PATH']);
  const absent = tools.filter((tool) => findProgram(tool) === undefined);
  return absent.length > 0 ? `needs ${absent.join(' and ')}` : undefined;
}

/** The marks in the names that processes of the tree's state directory use. */
const marksOf = ({ stateDir }: TestTree) =>
  readdirSync(stateDir)
    .filter((name) => /^\d/.test(name))
    .map((name) => name.slice(-6));

/**
 * Interfaces, firewall tables and helpers of processes with these marks, or of the process `pid`.
 */
function leftOf(marks: readonly string[], pid: number): readonly string[] {
  const interfaces = readdirSync('/sys/class/net').filter((name) =>
    marks.some((mark) => name.startsWith(`kiln${mark}`)),
  );
  const tables = (spawnSync('nft', ['list', 'tables'], { encoding: 'utf8' }).stdout ?? '').split(
    '\n',
  );
  const helpers = processesWith(`\0/proc/${pid}/fd/`);
  return [
    ...interfaces,
    ...tables.filter((name) => marks.some((mark) => name.includes(`kiln_${mark}_`))),
    ...helpers.map(String),
  ];
}

const connect = (address: string, server: Server) =>
  `busybox nc -w 2 ${address} ${portOf(server)} </dev/null`;

for (const kind of ['nat', 'slirp'] as const) {
  const why = missing(kind);
  if (why) {
    console.log(`SKIP network ${kind}: ${why}`);
    continue;
  }
  const executor = (more: Partial<Parameters<typeof createExecutor>[0]> = {}) =>
    createExecutor({ stateDir: tree.stateDir, networks: [kind], warn: () => {}, ...more });

  test(`${kind}: a sandbox has its own address and reaches the host's outer ones`, async () => {
    await using sandboxes = executor();
    const outer = outerAddress();
    const { stdout } = await shell(
      sandboxes,
      tree.root,
      `busybox ip -o addr; ${outer ? connect(outer, everywhere) : 'echo canary'}`,
    );
    assert.equal(
      [...stdout.matchAll(/^\d+: (\S+) +inet6? (\S+?)(?:\.\d+)*\//gm)].map((match) => match[1]),
      ['lo', 'lo', kind === 'nat' ? 'eth0' : 'tap0'],
    );
    assert.match(stdout, /^canary$/m);
  });

  test(`${kind}: servers on the host's loopback addresses cannot be reached`, async () => {
    await using sandboxes = executor();
    const addresses = [
      '127.0.0.1',
      '$(busybox ip route | busybox awk "/default/ { print \\$3 }")',
      outerAddress() ?? '',
    ];
    for (const address of addresses) {
      const { stdout } = await shell(
        sandboxes,
        tree.root,
        `${connect(address, loopback)} || echo refused`,
      );
      assert.is(stdout, 'refused\n', address);
    }
  });

  test(`${kind}: a namespace is reused unless connections are left in it`, async () => {
    await using sandboxes = executor();
    const namespace = async (script: string) =>
      (await shell(sandboxes, tree.root, `readlink /proc/self/ns/net; ${script}`)).stdout.split(
        '\n',
      )[0];
    const first = await namespace('true');
    assert.is(await namespace('true'), first);
    // The side that closes first keeps the port for a minute.
    assert.is(
      await namespace(
        'busybox nc -l -p 4242 -e true & until busybox nc 127.0.0.1 4242; do :; done; wait',
      ),
      first,
    );
    assert.is.not(await namespace('true'), first);
  });

  test(`${kind}: orphaned connections do not keep a namespace from being reused`, async () => {
    await using sandboxes = executor();
    using _orphan = await orphanedConnection();
    const namespace = async () =>
      (await shell(sandboxes, tree.root, 'readlink /proc/self/ns/net')).stdout;
    assert.is(await namespace(), await namespace());
  });

  test(`${kind}: sandboxes at the same time cannot reach each other`, async () => {
    await using sandboxes = executor();
    const controller = new AbortController();
    const found = Promise.withResolvers<string>();
    const listening = sandboxes.run(
      specFor(tree.root, ['/bin/sh', '-c', 'busybox ip -o -4 addr; busybox nc -l -p 4243']),
      {
        output: (_, data) =>
          found.resolve(/inet (?!127)([\d.]+)/.exec(Buffer.from(data).toString())?.[1] ?? ''),
      },
      controller.signal,
    );
    const address = await found.promise;
    assert.match(address, /^\d+\.\d+\.\d+\.\d+$/);
    const { stdout } = await shell(
      sandboxes,
      tree.root,
      `busybox nc -w 1 ${address} 4243 </dev/null || echo refused`,
    );
    assert.is(stdout, 'refused\n');
    controller.abort();
    await listening.catch(() => {});
  });

  test(`${kind}: the network of an insecure sandbox is never reused`, async () => {
    await using sandboxes = executor();
    const namespace = async (security: 'sandbox' | 'insecure') =>
      (await shell(sandboxes, tree.root, 'readlink /proc/self/ns/net', { security })).stdout;
    assert.is.not(await namespace('insecure'), await namespace('sandbox'));
  });

  test(`${kind}: a disposed executor leaves nothing behind`, async () => {
    const fds = readdirSync('/proc/self/fd').length;
    let marks: string[] = [];
    {
      await using sandboxes = executor();
      await Promise.all(Array.from({ length: 4 }, () => shell(sandboxes, tree.root, 'true')));
      marks = marksOf(tree);
      assert.ok(leftOf(marks, process.pid).length > 0, 'while it lives there is something');
    }
    assert.ok(
      await until(() => leftOf(marks, process.pid).length === 0),
      `left: ${leftOf(marks, process.pid)}`,
    );
    assert.is(readdirSync('/proc/self/fd').length, fds);
  });

  test(`${kind}: a killed process leaves nothing behind`, async () => {
    const script = new URL('../orphan.child.ts', import.meta.url).pathname;
    const mark = `93${process.pid}`;
    const child = spawn(process.execPath, [script, tree.stateDir, tree.root, mark, kind], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { pid = 0 } = child;
    await once(child.stdout, 'data');
    assert.ok(
      await until(() => processesWith(`sleep\0${mark}\0`).length === 6),
      'all sandboxes sleep',
    );
    const marks = marksOf(tree);
    assert.ok(leftOf(marks, pid).length > 0, 'while it lives there is something');
    child.kill('SIGKILL');
    assert.ok(await until(() => processesWith(mark).length === 0), 'no process is left');
    assert.ok(await until(() => leftOf(marks, pid).length === 0), `left: ${leftOf(marks, pid)}`);
  });
}

test('nat is not used behind a firewall that forwards nothing', () => {
  const why = missing('nat') ?? missing('slirp');
  if (why) return console.log(`SKIP firewall: ${why}`);
  const module = (name: string) => JSON.stringify(new URL(name, import.meta.url).href);
  const code = `
    import { shell } from ${module('../fixture.ts')};
    import { createExecutor } from ${module('../runtime-executor.ts')};
    const stateDir = ${JSON.stringify(tree.stateDir)};
    await using executor = createExecutor({ stateDir, warn: console.error });
    const root = ${JSON.stringify(tree.root)};
    console.log((await shell(executor, root, 'ls /sys/class/net')).stdout);`;
  const rules =
    'add table ip filter ; add chain ip filter FORWARD { type filter hook forward priority ' +
    '0 ; policy drop ; }';
  const ran = spawnSync(
    'unshare',
    [
      '--net',
      'sh',
      '-c',
      `nft '${rules}' && exec "$@"`,
      'sh',
      process.execPath,
      '--input-type=module-typescript',
      '-e',
      code,
    ],
    { encoding: 'utf8' },
  );
  assert.is(ran.stdout.trim(), 'lo\ntap0', ran.stderr);
  assert.is(ran.stderr, '');
});

/** Opens the network of a host that offers none, with a fallback. */
async function openWithout(fallback?: NetworkFallback) {
  const warnings: unknown[][] = [];
  const warn = (...said: unknown[]) => void warnings.push(said);
  const options = { mark: '0abc12', own: () => {}, warn, findProgram: programsOn(undefined) };
  const none = (kind: string) => Promise.reject(new NetworkUnavailable(`no ${kind} today`));
  const network = await openNetwork(
    fallback ? { ...options, fallback: async () => fallback } : options,
    none,
  );
  return { network, warnings };
}

test("steps share the host's network where none can be made, after a warning", async () => {
  const { network, warnings } = await openWithout();
  assert.is(network.kind, 'host');
  assert.is((await network.lease()).path, undefined);
  assert.is(warnings.length, 1);
  assert.match(
    String(warnings[0]?.[0]),
    /share the host's network.*no nat today; no slirp today.*kiln doctor/,
  );
  assert.is(warnings[0]?.[1], 'steps');
});

test('with the fallback none, steps have no network and a warning says so', async () => {
  const { network, warnings } = await openWithout('none');
  assert.is(network.kind, 'none');
  assert.match(String(warnings[0]?.[0]), /^steps have no network: no nat today/);
  assert.is(warnings[0]?.[1], 'steps');
});

test('with the fallback refuse, steps do not run', async () => {
  const error = await openWithout('refuse').catch((thrown: unknown) => thrown);
  assert.instance(error, KilnError);
  assert.is((error as KilnError).code, 'KILN_NETWORK');
  assert.match((error as KilnError).message, 'no nat today; no slirp today');
});

test('an unexpected error is thrown', async () => {
  const options = {
    mark: '0abc12',
    own: () => {},
    warn: () => {},
    findProgram: programsOn(undefined),
  };
  const failure = new Error('a bug');
  const thrown = await openNetwork(options, () => Promise.reject(failure)).catch(
    (error: unknown) => error,
  );
  assert.is(thrown, failure);
});

if (!reason) test.run();
