import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { opensslMissing, selfSigned } from '../registry/testing/certificates.ts';
import { holdingProxy } from '../registry/testing/holding.ts';
import {
  registryMissing,
  startRegistry,
  TEST_LOGIN,
  type TestRegistry,
} from '../registry/testing/registry.ts';
import { startTokenServer } from '../registry/testing/tokens.ts';
import { cat, Rig, run, testImage } from './rig.ts';

const skip = registryMissing() ?? opensslMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

/** Pushes the busybox test image, builds on it, pushes that, and pulls it into an empty store. */
async function roundTrip(registry: TestRegistry, rig: Rig, env: NodeJS.ProcessEnv): Promise<void> {
  const kiln = (...args: string[]) => rig.kiln(args, { env, expect: 0 });
  const base = `${registry.host}/team/busybox:1`;
  const name = `${registry.host}/team/app:1`;
  await kiln('copy', '-q', `oci-archive:${testImage('busybox')}`, base);
  rig.write('c', { Dockerfile: `FROM ${base}\nRUN echo made > /made\n` });
  await kiln('build', '--progress=plain', '--push', '-t', name, rig.path('c'));
  await using other = await Rig.create();
  await other.kiln(['pull', '-q', name], { env, expect: 0 });
  assert.is(await cat(other, name, '/made'), 'made\n');
}

const login = (registry: TestRegistry) =>
  JSON.stringify({
    auths: {
      [registry.host]: {
        auth: Buffer.from(Object.values(TEST_LOGIN).join(':')).toString('base64'),
      },
    },
  });

real('--tls-verify=false takes any certificate, --authfile the logins of a file', async () => {
  await using rig = await Rig.create('busybox');
  const certificates = rig.path('certificates');
  mkdirSync(certificates);
  const [tls, other] = ['server', 'other'].map((name) => selfSigned(certificates, name));
  await using registry = await startRegistry({ tls: tls!, login: true });
  rig.write('', {
    'kiln.toml': `[registry."${registry.host}"]\nca = ["${other!.certificate}"]\n`,
    'auth.json': login(registry),
  });
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  const env = { KILN_CONFIG: rig.path('kiln.toml'), DOCKER_CONFIG: rig.path('none') };
  const push = (expect: number, ...flags: string[]) =>
    rig.kiln(['build', ...flags, '--push', '-t', `${registry.host}/app`, 'c'], { env, expect });
  assert.match((await push(1, '--authfile=auth.json')).stderr, 'KILN_REGISTRY_TLS');
  assert.match((await push(1, '--tls-verify=false')).stderr, 'KILN_REGISTRY_');
  await push(0, '--tls-verify=false', '--authfile=auth.json');
  assert.match((await push(2, '--authfile=nowhere')).stderr, 'there is no file nowhere');
});

real(
  'registries over http, with htpasswd, with a token server, and over https with a private CA',
  async () => {
    await using rig = await Rig.create();
    const docker = (registry: TestRegistry, name: string) => {
      rig.write(name, { 'config.json': login(registry) });
      return { DOCKER_CONFIG: rig.path(name) };
    };
    {
      await using plain = await startRegistry();
      await roundTrip(plain, rig, {});
    }
    {
      await using known = await startRegistry({ login: true });
      await roundTrip(known, rig, docker(known, 'htpasswd'));
    }
    {
      await using tokens = await startTokenServer(TEST_LOGIN);
      await using registry = await startRegistry({ tokens });
      await roundTrip(registry, rig, docker(registry, 'tokens'));
      assert.ok(tokens.seen.length > 0);
    }
    const certificates = rig.path('certificates');
    mkdirSync(certificates);
    const tls = selfSigned(certificates, 'server');
    await using secure = await startRegistry({ tls });
    writeFileSync(
      rig.path('kiln.toml'),
      `[registry."${secure.host}"]\nca = ["${tls.certificate}"]\n`,
    );
    await roundTrip(secure, rig, { KILN_CONFIG: rig.path('kiln.toml') });
    writeFileSync(
      rig.path('wrong.toml'),
      `[registry."${secure.host}"]\nca = ["${selfSigned(certificates, 'other').certificate}"]\n`,
    );
    await rig.kiln(['pull', '-q', `${secure.host}/team/app:1`], {
      env: { SSL_CERT_FILE: tls.certificate },
      expect: 0,
    });
    const refused = await rig.kiln(['pull', '-q', `${secure.host}/team/app:1`], {
      env: { KILN_CONFIG: rig.path('wrong.toml') },
    });
    assert.is(refused.code, 1);
    assert.match(refused.stderr, 'KILN_REGISTRY_TLS');
  },
);

real('a mirror serves the images of a registry that is gone', async () => {
  await using rig = await Rig.create();
  const first = await startRegistry();
  await using mirror = await startRegistry({ mirrorOf: `http://${first.host}` });
  const name = `${first.host}/team/busybox:1`;
  writeFileSync(
    rig.path('kiln.toml'),
    `[registry."${first.host}"]\nmirrors = ["http://${mirror.host}"]\n`,
  );
  const env = { KILN_CONFIG: rig.path('kiln.toml') };
  await rig.kiln(['copy', '-q', `oci-archive:${testImage('busybox')}`, name], { expect: 0 });
  await rig.kiln(['pull', '-q', name], { env, expect: 0 });
  assert.ok((await mirror.requests()).some((line) => /^GET .*\/blobs\/.* 200$/.test(line)));
  await first[Symbol.asyncDispose]();
  await using other = await Rig.create();
  await other.kiln(['pull', '-q', name], { env, expect: 0 });
  assert.is(await cat(other, name, '/etc/passwd'), await cat(rig, name, '/etc/passwd'));
  const alone = await other.kiln(['pull', '-q', name]);
  assert.match(alone.stderr, 'KILN_REGISTRY_UNREACHABLE');
});

real('after a killed push, the next push sends only the missing blobs', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create();
  rig.write('c', {
    Dockerfile: 'FROM scratch\nCOPY one /\nCOPY two /\nCOPY three /\n',
    one: randomBytes(2_000_000),
    two: randomBytes(2_000_000),
    three: randomBytes(2_000_000),
  });
  await rig.build('c', '-t', 'big');
  let uploads = 0;
  let holding = true;
  let kill = (_: NodeJS.Signals) => {};
  const stored = () => proxy.answered.filter((line) => line === 'PUT 201').length;
  // Two of the four blobs arrive.
  await using proxy = await holdingProxy(
    registry.host,
    ({ method }) => holding && method === 'PUT' && ++uploads > 2,
    () => holding && stored() === 2 && kill('SIGKILL'),
  );
  const name = `${proxy.host}/big:1`;
  const killed = await rig.kiln(['push', 'big', name], { watch: (_, signal) => (kill = signal) });
  assert.is(killed.signal, 'SIGKILL');
  const before = (await registry.requests()).length;
  holding = false;
  await rig.kiln(['push', '-q', 'big', name], { expect: 0 });
  const rest = (await registry.requests()).slice(before);
  assert.is(
    rest.filter((line) => /^PUT .*\/blobs\/.* 201$/.test(line)).length,
    2,
    'two blobs of four',
  );
  assert.is(rest.filter((line) => /^HEAD .*\/blobs\/.* 200$/.test(line)).length, 2);
  await run(
    [
      'skopeo',
      'copy',
      '-q',
      '--src-tls-verify=false',
      `docker://${registry.host}/big:1`,
      `dir:${rig.path('back')}`,
    ],
    {
      expect: 0,
    },
  );
});

real('a push of an unchanged image sends no blob', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo made > /made\n' });
  const name = `${registry.host}/team/app:1`;
  await rig.build('c', '--push', '-t', name);
  const before = (await registry.requests()).length;
  await rig.build('c', '--push', '-t', name);
  const again = (await registry.requests()).slice(before);
  assert.equal(
    again.filter((line) => !line.startsWith('HEAD ')).map((line) => line.replace(/\?.*/, '')),
    ['PUT /v2/team/app/manifests/1 201'],
  );
});

real(
  'a blob of one repository is mounted in another, after a push or pull and within a push',
  async () => {
    await using registry = await startRegistry();
    await using rig = await Rig.create('busybox');
    const name = (path: string) => `${registry.host}/${path}:1`;
    rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo made > /made\n' });
    let seen = 0;
    const uploads = async () => {
      const all = await registry.requests();
      const fresh = all.slice(seen);
      seen = all.length;
      const count = (pattern: RegExp) => fresh.filter((line) => pattern.test(line)).length;
      return {
        sent: count(/^PUT .*\/blobs\//),
        mounted: count(/^POST .*\?mount=.* 201$/),
        asked: count(/^POST /),
      };
    };
    await rig.build('c', '--push', '-t', name('team/one'), '-t', name('team/two'));
    assert.equal(await uploads(), { sent: 3, mounted: 3, asked: 6 });
    await rig.build('c', '--push', '-t', name('team/three'));
    assert.equal(await uploads(), { sent: 0, mounted: 3, asked: 3 });
    await using other = await Rig.create();
    await other.kiln(['pull', '-q', name('team/one')], { expect: 0 });
    await other.kiln(['push', '-q', name('team/one'), name('team/four')], { expect: 0 });
    assert.equal(await uploads(), { sent: 0, mounted: 3, asked: 3 });
  },
);

test.run();
