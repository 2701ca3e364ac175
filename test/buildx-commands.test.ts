import { once } from 'node:events';
import { connect } from 'node:http2';
import { duplexPair } from 'node:stream';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { ServeRig } from './serve-rig.ts';

test('buildx inspect, ls, use and rm manage a builder that is kiln serve', async () => {
  await using serve = await ServeRig.create();
  const buildx = async (...args: string[]) =>
    (await serve.buildx(args, { env: { BUILDX_BUILDER: '' } })).stdout;
  const shown = await buildx('inspect', '--bootstrap', 'k');
  assert.match(shown, /^Driver:\s+remote$/m);
  assert.match(shown, /^Status:\s+running$/m);
  assert.match(shown, /^BuildKit version:\s+v\d+\.\d+\.\d+$/m);
  assert.match(shown, /^Platforms:\s+linux\/\w+/m);
  await buildx('use', 'k');
  const names = (await buildx('ls', '--format', '{{json .}}')).trim().split('\n');
  const k = names.map((line) => JSON.parse(line)).find(({ Name }) => Name === 'k');
  assert.is(k.Current, true);
  assert.is(k.Nodes[0].Status, 'running');
  const second = ['--name', 'second', '--driver', 'remote', '--use', `unix://${serve.socket}`];
  await buildx('create', ...second);
  assert.match(await buildx('inspect'), /^Name:\s+second$/m);
  await buildx('rm', 'second');
  assert.not.match(await buildx('ls', '--format', '{{.Name}}'), 'second');
});

test('a builder whose server has ended is shown as inactive', async () => {
  await using serve = await ServeRig.create();
  await serve.end();
  assert.match((await serve.buildx(['inspect', 'k'])).stdout, /^Status:\s+inactive$/m);
});

test('docker build without buildx goes to the builder that BUILDX_BUILDER names', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  rig.write('c', { Dockerfile: 'FROM busybox\nLABEL by=docker\n' });
  await serve.docker(['build', '-t', 'plain', '--output', 'type=image', 'c']);
  const shown = await rig.kiln(['inspect', '--format', '{{.Config.Labels.by}}', 'plain']);
  assert.is(shown.stdout, 'docker\n');
});

test('buildx dial-stdio passes calls on to the server', async () => {
  await using serve = await ServeRig.create();
  const child = serve.startBuildx(['dial-stdio']);
  const [near, far] = duplexPair();
  far.pipe(child.stdin);
  child.stdout.pipe(far);
  const session = connect('http://localhost', { createConnection: () => near });
  const call = session.request({
    ':method': 'POST',
    ':path': '/moby.buildkit.v1.Control/Info',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  // A message of no bytes.
  call.end(Buffer.alloc(5));
  const answer = Buffer.concat(await call.toArray()).toString();
  assert.match(answer, 'github.com/moby/buildkit');
  session.destroy();
  child.stdin.end();
  await once(child, 'close');
});

const missing = registryMissing();
if (missing) console.log(`SKIP buildx imagetools: ${missing}`);
else
  test('buildx imagetools shows what was pushed, and puts images together', async () => {
    await using registry = await startRegistry();
    await using serve = await ServeRig.create();
    const name = (tag: string) => `${registry.host}/team/app:${tag}`;
    serve.rig.write('c', {
      Dockerfile: 'FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\nCOPY Dockerfile /\n',
    });
    for (const arch of ['amd64', 'arm64']) {
      const platform = `linux/${arch}`;
      await serve.build(['--push', '--platform', platform, '-t', name(arch), 'c']);
    }
    const imagetools = async (...args: string[]) =>
      (await serve.buildx(['imagetools', ...args])).stdout;
    await imagetools('create', '-t', name('both'), name('amd64'), name('arm64'));
    const inspect = async (format: string) =>
      JSON.parse(await imagetools('inspect', '--format', `{{json ${format}}}`, name('both')));
    const { manifests } = await inspect('.Manifest');
    assert.equal(
      manifests.map(
        ({ platform }: { platform: { architecture: string } }) => platform.architecture,
      ),
      ['amd64', 'unknown', 'arm64', 'unknown'],
    );
    const images = await inspect('.Image');
    for (const arch of ['amd64', 'arm64'])
      assert.is(images[`linux/${arch}`].config.Labels.arch, arch);
    const provenance = await inspect('.Provenance');
    assert.equal(Object.keys(provenance), ['linux/amd64', 'linux/arm64']);
    const raw = await imagetools('inspect', '--raw', name('amd64'));
    assert.match(JSON.parse(raw).mediaType, 'application/vnd.oci.image.index');
    const text = await imagetools('inspect', name('both'));
    assert.match(text, /^ {2}Platform: {4}linux\/arm64$/m);
    const dry = JSON.parse(await imagetools('create', '--dry-run', name('amd64'), name('arm64')));
    assert.is(dry.manifests.length, 4);
  });

if (missing) console.log(`SKIP a builder of two servers: ${missing}`);
else
  test('a builder of two servers builds a platform on each, and pushes one image', async () => {
    await using registry = await startRegistry();
    await using serve = await ServeRig.create('busybox');
    await using second = await ServeRig.create('busybox');
    const [own, other] = ['amd64', 'arm64'].map((arch) => `linux/${arch}`);
    const add = (platform: string, socket: string, ...flags: string[]) =>
      serve.buildx([
        ...['create', '--name', 'two', '--driver', 'remote', '--platform', platform],
        ...flags,
        `unix://${socket}`,
      ]);
    await add(own!, serve.socket);
    await add(other!, second.socket, '--append');
    const name = `${registry.host}/team/two:1`;
    const args = ['--builder', 'two', '--platform', `${own},${other}`, '--push', '-t', name, '-'];
    await serve.build(args, { stdin: 'FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\n' });
    const { stdout } = await serve.buildx(['imagetools', 'inspect', '--raw', name]);
    const { manifests } = JSON.parse(stdout) as {
      manifests: { platform: { os: string; architecture: string } }[];
    };
    assert.equal(
      manifests.map(({ platform: { os, architecture } }) => `${os}/${architecture}`),
      [own, 'unknown/unknown', other, 'unknown/unknown'],
    );
    // Each server has built its own.
    for (const { rig } of [serve, second]) {
      const { stdout } = await rig.kiln(['logs', '--list'], { expect: 0 });
      assert.is(stdout.trim().split('\n').length, 2, stdout);
    }
  });

test.run();
