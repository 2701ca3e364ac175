import { readFileSync, statSync, symlinkSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { declareServer } from '../cli/daemon/server-flags.ts';
import { Daemon, freePort } from './daemon-rig.ts';
import { KILN, Rig, run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

const flagsOf = (text: string) => text.trim().split(/\s+/);

/** The flags that buildkitd 0.33 documents, with values as its users give them. */
const BUILDKITD_FLAGS = flagsOf(`
  --debug --rootless --otel-socket-path=/run/otel.sock --cdi-disabled --cdi-spec-dir=/etc/cdi
  --debugaddr=127.0.0.1:6060 --allow-insecure-entitlement=network.host
  --allow-insecure-entitlement security.insecure --oci-worker=auto --oci-worker-labels=a=b
  --oci-worker-labels=c=d --oci-worker-snapshotter=overlayfs
  --oci-worker-proxy-snapshotter-path=/p --oci-worker-platform=linux/amd64 --oci-worker-net=host
  --oci-worker-binary=crun --oci-worker-apparmor-profile=x --oci-worker-selinux
  --oci-worker-no-process-sandbox --oci-worker-gc --oci-worker-gc-keepstorage=10
  --containerd-worker=false --containerd-worker-labels=a=b --containerd-worker-snapshotter=native
  --containerd-worker-platform=linux/arm64 --containerd-worker-net=host
  --containerd-worker-apparmor-profile=x --containerd-worker-selinux --containerd-worker-gc=false
  --containerd-worker-gc-keepstorage=10
`);

test('every flag of buildkitd is accepted; ignored flags and keys are named', async () => {
  await using rig = await Rig.create();
  rig.write('.', {
    'buildkitd.toml': `
debug = true
insecure-entitlements = ["network.host"]
provenanceEnvDir = "${rig.path('provenance.d')}"
[grpc]
  address = ["unix://${rig.path('from-file.sock')}"]
[worker.oci]
  max-parallelism = 4
  gc = false
[registry."example.com"]
  http = true
`,
  });
  symlinkSync(KILN, rig.path('buildkitd'));
  await using daemon = await new Daemon(
    rig,
    [...BUILDKITD_FLAGS, '--config', rig.path('buildkitd.toml')],
    { command: [rig.path('buildkitd')] },
  ).listening();
  assert.match(daemon.printed, /listening on unix:.*from-file\.sock/);
  assert.match(daemon.printed, /keys of the configuration: debug, worker\.oci\.max-parallelism\n/);
  const named = /ignores these flags: (.*)/.exec(daemon.printed)?.[1]?.split(', ');
  assert.ok(named?.includes('--oci-worker-no-process-sandbox'), daemon.printed);
  assert.not(named?.includes('--allow-insecure-entitlement'));
  const known = declareServer().options.map(({ long }) => long);
  for (const flag of BUILDKITD_FLAGS.filter((word) => word.startsWith('--')))
    assert.ok(known.includes(flag.split('=')[0]), flag);
});

test('buildkitd --version prints four words, the third is a version', async () => {
  await using rig = await Rig.create();
  symlinkSync(KILN, rig.path('buildkitd'));
  const { stdout } = await run([rig.path('buildkitd'), '--version'], { expect: 0 });
  assert.match(stdout, /^buildkitd github\.com\/moby\/buildkit v\d+\.\d+\.\d+ \S+\n$/);
});

test('a socket belongs to its group; a stale one is replaced and a live one is left', async () => {
  await using rig = await Rig.create();
  const socket = rig.path('s.sock');
  const addr = ['--addr', `unix://${socket}`];
  const first = await new Daemon(rig, addr).listening();
  assert.is(statSync(socket).mode & 0o777, 0o660);
  const second = await rig.kiln(['serve', ...addr], { expect: 1 });
  assert.match(second.stderr, /another server listens on unix:/);
  first.child.kill('SIGKILL');
  assert.is(await first.ended(), 'SIGKILL');
  assert.ok(statSync(socket).isSocket(), 'a killed server leaves its socket');
  await using third = await new Daemon(rig, [...addr, '--group', 'daemon']).listening();
  const line = readFileSync('/etc/group', 'utf8').match(/^daemon:[^:]*:(\d+)/m);
  if (process.getuid?.() === 0) assert.is(statSync(socket).gid, Number(line?.[1]));
  assert.match(third.printed, /^listening on/);
});

test('an address that other hosts reach needs certificates of clients, or --insecure', async () => {
  await using rig = await Rig.create();
  const tls = await certificates(rig);
  const addr = ['--addr', 'tcp://0.0.0.0:0'];
  const server = ['--tlscert', tls.path('server.pem'), '--tlskey', tls.path('server.key')];
  for (const flags of [[], server]) {
    const refused = await rig.kiln(['serve', ...addr, ...flags], { expect: 2 });
    assert.match(refused.stderr, /every host that reaches tcp:\/\/0\.0\.0\.0:0 could run programs/);
  }
  await using open = await new Daemon(rig, [...addr, '--insecure']).listening();
  assert.match(open.printed, /listening on tcp/);
  const wrong = await rig.kiln(
    ['serve', ...addr, '--tlscert', tls.path('server.pem'), '--tlskey', tls.path('client.key')],
    { expect: 1 },
  );
  assert.match(wrong.stderr, /do not go together.*\[KILN_SERVER_CONFIG_INVALID\]/s);
});

test('over TLS, buildx builds with a certificate of the CA, and not without', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const tls = await certificates(rig);
  const port = await freePort();
  await using _daemon = await new Daemon(rig, [
    `--addr=tcp://127.0.0.1:${port}`,
    `--tlscert=${tls.path('server.pem')}`,
    `--tlskey=${tls.path('server.key')}`,
    `--tlscacert=${tls.path('ca.pem')}`,
  ]).listening();
  const remote = async (name: string, options: readonly string[]) => {
    const create = ['create', '--name', name, '--driver=remote', `tcp://127.0.0.1:${port}`];
    await serve.buildx([...create, '--driver-opt', options.join(',')]);
  };
  const trust = `cacert=${tls.path('ca.pem')}`;
  await remote('known', [trust, `cert=${tls.path('client.pem')}`, `key=${tls.path('client.key')}`]);
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo built\n' });
  assert.match(await serve.build(['--builder', 'known', context]), /^#\d+ [\d.]+ built$/m);
  const kiln = (query: string, expect: number) =>
    rig.kiln(['build', `--builder=tcp://127.0.0.1:${port}?${query}`, '--progress=plain', context], {
      expect,
    });
  const known = `${trust}&cert=${tls.path('client.pem')}&key=${tls.path('client.key')}`;
  assert.match((await kiln(known, 0)).stderr, /CACHED/);
  assert.match((await kiln(trust, 1)).stderr, /\[KILN_SERVER_/);
  const stranger = await kiln(`cacert=${tls.path('client.pem')}`, 1);
  assert.match(stranger.stderr, /cannot connect .*certificate.*\[KILN_SERVER_UNREACHABLE\]/);
  await remote('unknown', [trust]);
  for (const [name, status] of Object.entries({ known: 'running', unknown: 'inactive' }))
    assert.match((await serve.buildx(['inspect', name])).stdout, new RegExp(`Status: +${status}`));
});

test("over TLS, Docker's client builds with a certificate of the CA, and not without", async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const tls = await certificates(rig);
  const port = await freePort();
  const address = `tcp://127.0.0.1:${port}`;
  const refused = await rig.kiln(['serve', '--docker', 'tcp://0.0.0.0:0'], { expect: 2 });
  assert.match(refused.stderr, /every host that reaches tcp:\/\/0\.0\.0\.0:0 could run programs/);
  await using _daemon = await new Daemon(rig, [
    `--addr=unix://${rig.path('other.sock')}`,
    `--docker=${address}`,
    `--tlscert=${tls.path('server.pem')}`,
    `--tlskey=${tls.path('server.key')}`,
    `--tlscacert=${tls.path('ca.pem')}`,
  ]).listening();
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo built\n' });
  const docker = (certificate: readonly string[], expect: number) => {
    const trust = ['--tlsverify', '--tlscacert', tls.path('ca.pem'), ...certificate];
    return serve.docker(['-H', address, ...trust, 'build', '-t', 'app', context], {
      env: { BUILDX_BUILDER: '', DOCKER_HOST: '', DOCKER_BUILDKIT: '0' },
      expect,
    });
  };
  const own = ['--tlscert', tls.path('client.pem'), '--tlskey', tls.path('client.key')];
  assert.match((await docker(own, 0)).stdout, /^Successfully tagged app:latest$/m);
  await docker([], 1);
});

/** Opens a socket and starts a command with it, as systemd does. */
const PASS_SOCKET = `
import os, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
`;

test('a socket of systemd serves, and the server ends when it is idle', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const socket = rig.path('passed.sock');
  await using daemon = await new Daemon(rig, ['--addr', 'fd://', '--idle-timeout', '2s'], {
    command: ['python3', '-c', PASS_SOCKET, socket, KILN, 'serve'],
  }).listening();
  await serve.buildx(['create', '--name', 'fd', '--driver', 'remote', `unix://${socket}`]);
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN sleep 3; echo built\n' });
  assert.match(await serve.build(['--builder', 'fd', context]), /^#\d+ [\d.]+ built$/m);
  assert.is(await daemon.ended(), 0);
});

test('a build gets an entitlement only when the server grants it', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN --security=insecure echo built\n',
  });
  const args = ['--allow', 'security.insecure', context];
  const refused = await serve.build(args, { expect: 1 });
  assert.match(refused, /entitlement security\.insecure is not allowed by build daemon/);
  const socket = `unix://${rig.path('granting.sock')}`;
  const grant = ['--allow-insecure-entitlement', 'security.insecure'];
  await using _daemon = await new Daemon(rig, ['--addr', socket, ...grant]).listening();
  await serve.buildx(['create', '--name', 'granting', '--driver', 'remote', socket]);
  assert.match(await serve.build(['--builder', 'granting', ...args]), /^#\d+ [\d.]+ built$/m);
});

/** Makes a CA, and certificates of it for a server and a client, in a directory of the rig. */
async function certificates(rig: Rig): Promise<{ path(name: string): string }> {
  const directory = rig.write('tls', { empty: '' });
  const openssl = (...args: string[]) => run(['openssl', ...args], { cwd: directory, expect: 0 });
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout';
  const make = (text: string) => openssl(...flagsOf(text));
  await make(`req -x509 ${key} ca.key -out ca.pem -days 2 -subj /CN=ca`);
  for (const name of ['server', 'client']) {
    const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
    await make(`req ${key} ${name}.key -out ${name}.csr -subj /CN=${name} -addext ${names}`);
    await make(
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out ${name}.pem ` +
        '-days 2 -copy_extensions copyall',
    );
  }
  return { path: (name) => rig.path('tls', name) };
}

test.run();
