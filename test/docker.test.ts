import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ManifestSummary } from '../docker/images/manifest-summaries.ts';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { type Answer, DockerRig } from './docker-rig.ts';
import { until } from './until.ts';

/*
 * Docker's own client, against `kiln serve --docker`. No engine runs here.
 */

const CLASSIC = { env: { DOCKER_BUILDKIT: '0' } };

/** All of the language, also for the builder that never had it. */
const DOCKERFILE = `
# syntax=docker/dockerfile:1
FROM busybox AS base
ARG WORD=none
RUN --mount=type=tmpfs,target=/t <<EOF
echo "said $WORD" > /said
EOF
COPY <<EOF /heredoc
from a heredoc
EOF
FROM scratch AS other
FROM base
COPY a.txt /
LABEL made=here
CMD ["cat", "/said"]
`;

test('docker build, images, tag, inspect, history, save, load, rmi and prune', async () => {
  await using rig = await DockerRig.create(['busybox']);
  rig.serve.rig.write('c', { Dockerfile: DOCKERFILE, 'a.txt': 'a' });
  await rig.docker('build -t app:1 --build-arg WORD=buildx c');
  await rig.docker('build -t app:2 --build-arg WORD=old --label l=m c', CLASSIC);
  const said = async (name: string) =>
    (await rig.serve.rig.kiln(['run', name], { expect: 0 })).stdout;
  assert.is(await said('app:1'), 'said buildx\n');
  assert.is(await said('app:2'), 'said old\n');
  assert.is(
    (await rig.serve.rig.kiln(['run', 'app:2', 'cat', '/heredoc'], { expect: 0 })).stdout,
    'from a heredoc\n',
  );

  const listed = (await rig.docker('images --format {{.Repository}}:{{.Tag}}')).stdout;
  assert.equal(listed.split('\n').sort().filter(Boolean), ['app:1', 'app:2', 'busybox:latest']);
  const only = await rig.docker('images --filter label=l=m --format {{.Tag}}');
  assert.is(only.stdout, '2\n');
  const [about] = JSON.parse((await rig.docker('image inspect app:2')).stdout);
  assert.equal(about.Config.Labels, { l: 'm', made: 'here' });
  assert.equal(about.Config.Cmd, ['cat', '/said']);
  const history = (await rig.docker('history --no-trunc app:2')).stdout;
  assert.match(history, /LABEL made=here/);
  assert.match((await rig.docker('build -q -t app:2 c', CLASSIC)).stdout, /^sha256:[0-9a-f]{64}$/m);

  const id = (await rig.docker('images -q app:2')).stdout.trim();
  await rig.docker(`tag ${id} team/app:3`);
  await rig.docker('save -o app.tar team/app:3 app:1');
  const inside = execFileSync('tar', ['-tf', rig.serve.rig.path('app.tar')], { encoding: 'utf8' });
  assert.match(inside, /^manifest\.json$/m);
  assert.match((await rig.docker('rmi team/app:3')).stdout, /^Untagged: team\/app:3$/m);
  assert.match((await rig.docker('rmi team/app:3', { expect: 1 })).stderr, 'KILN_IMAGE_NOT_FOUND');
  const loaded = await rig.docker('load -i app.tar');
  assert.match(loaded.stdout, 'Loaded image: team/app:3');
  assert.match((await rig.docker('system df')).stdout, /^Images +\d/m);
  await rig.docker('rmi -f app:1 app:2 team/app:3');
  await rig.docker('build c', CLASSIC);
  assert.match((await rig.docker('images')).stdout, /^<none> +<none>/m);
  assert.match((await rig.docker('image prune -f')).stdout, /^deleted: sha256:/m);
  assert.not.match((await rig.docker('images')).stdout, /<none>/);
  assert.match((await rig.docker('builder prune -af')).stdout, /^Total:\s+[\d.]+\w?B$/m);
  assert.is(
    (await rig.docker('images --format {{.Repository}}')).stdout,
    'busybox\n',
    'a named image stays',
  );
  assert.not.match(rig.serve.printed, /ERROR/);
});

test('an image for two platforms is shown, saved and pushed for one of them', async () => {
  await using rig = await DockerRig.create([]);
  const { rig: place } = rig.serve;
  place.write('c', { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /x\n' });
  place.write('c', { amd64: 'for amd64', arm64: 'for arm64' });
  await rig.docker('build --provenance=false --platform linux/amd64,linux/arm64 -t two c');
  const architecture = async (...more: string[]) =>
    (await rig.docker('image inspect --format {{.Architecture}} two', {}, more)).stdout.trim();
  assert.is(await architecture(), 'amd64');
  assert.is(await architecture('--platform', 'linux/arm64'), 'arm64');
  await rig.docker('history --platform linux/arm64 two');
  const tree = (await rig.docker('images --tree')).stdout;
  assert.match(tree, /two:latest[\s\S]*linux\/amd64[\s\S]*linux\/arm64/);
  const [listed] = JSON.parse((await rig.ask('GET', '/images/json?manifests=1')).text);
  const inspected = JSON.parse((await rig.ask('GET', '/images/two/json?manifests=1')).text);
  for (const { Id, Descriptor, Manifests } of [listed, inspected]) {
    assert.is(Descriptor.digest, Id);
    assert.equal(
      Manifests.map((one: ManifestSummary) => [one.Kind, one.Available, one.ImageData?.Platform]),
      ['amd64', 'arm64'].map((arch) => ['image', true, { architecture: arch, os: 'linux' }]),
    );
  }
  const plain = JSON.parse((await rig.ask('GET', '/images/json')).text);
  assert.is(plain[0].Manifests, undefined);
  await rig.docker('save --platform linux/arm64 -o one.tar two');
  await rig.docker('rmi two');
  await rig.docker('load -i one.tar');
  assert.is(await architecture(), 'arm64');
  const missing = await rig.docker('history --platform linux/s390x two', { expect: 1 });
  assert.match(missing.stderr, /KILN_PLATFORM_MISSING|s390x/);
});

test('a step that fails, a Dockerfile that is wrong, and one outside of the archive', async () => {
  await using rig = await DockerRig.create(['busybox']);
  rig.serve.rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo out && exit 3\n' });
  const classic = await rig.docker('build c', { ...CLASSIC, expect: 3 });
  assert.match(classic.stdout, /^out$/m);
  assert.match(classic.stderr, /exit code: 3/);
  assert.match((await rig.docker('build c', { expect: 1 })).stderr, /exit code: 3/);
  rig.serve.rig.write('c', { Dockerfile: 'FROM busybox\nRUNN x\n' });
  const wrong = await rig.docker('build c', { ...CLASSIC, expect: 1 });
  assert.match(wrong.stderr, /unknown instruction: RUNN/);
  const tar = execFileSync('tar', ['-c', '-C', rig.serve.rig.path('c'), '.']);
  const outside = await rig.ask('POST', '/build?dockerfile=../../etc/passwd', { body: tar });
  assert.is(outside.status >= 400, true, outside.text);
  assert.not.match(outside.text, /root:/);
  assert.match(JSON.parse(outside.text).message, /KILN_/);
});

test('docker pull and push, with the login of the request', async () => {
  const missing = registryMissing();
  if (missing) return void console.log(`SKIP docker pull and push: ${missing}`);
  await using registry = await startRegistry();
  await using rig = await DockerRig.create(['busybox']);
  const name = `${registry.host}/team/box:1`;
  await rig.docker(`tag busybox ${name}`);
  const pushed = await rig.docker(`push ${name}`);
  const [, digest] = /1: digest: (sha256:[0-9a-f]{64})/.exec(pushed.stdout) ?? [];
  await rig.docker(`rmi ${name}`);
  const pulled = await rig.docker(`pull ${name}`);
  assert.match(pulled.stdout, `Digest: ${digest}`);
  assert.match(pulled.stdout, 'Status: Downloaded newer image');
  assert.match((await rig.docker(`pull ${name}`)).stdout, 'Image is up to date');
  const known = await rig.ask('GET', `/v1.41/distribution/${name}/json`);
  assert.is(JSON.parse(known.text).Descriptor.digest, digest);
  rig.serve.rig.write('c', { Dockerfile: 'FROM busybox\nCOPY Dockerfile /\n' });
  const one = `${registry.host}/team/one:1`;
  await rig.docker(`build -t ${one} --provenance=false c`);
  await rig.docker(`push ${one}`);
  const made = await rig.docker(`manifest create --insecure ${registry.host}/team/list:1 ${one}`);
  assert.match(made.stdout, 'Created manifest list');
  const list = `${registry.host}/team/list:1`;
  await rig.docker(`manifest annotate --arch arm64 --variant v8 ${list} ${one}`);
  await rig.docker(`manifest push --insecure ${list}`);
  const { manifests } = JSON.parse(
    (await rig.docker(`manifest inspect --insecure ${list}`)).stdout,
  );
  assert.equal(
    manifests.map(({ platform }: { platform: object }) => platform),
    [{ architecture: 'arm64', os: 'linux', variant: 'v8' }],
  );
  const refused = await rig.docker(`pull ${registry.host}/team/none:1`, { expect: 1 });
  assert.match(refused.stderr, 'KILN_IMAGE_NOT_FOUND');
});

test('docker import, events, compose, and what is not building', async () => {
  await using rig = await DockerRig.create(['busybox']);
  rig.serve.rig.write('c', { 'compose.yaml': COMPOSE, 'in/file': 'imported' });
  execFileSync('tar', ['-cf', 'in.tar', '-C', 'c/in', '.'], { cwd: rig.serve.rig.directory });
  const changes = ['--change', 'CMD ["cat","/file"]', 'in.tar', 'team/imported:1'];
  await rig.docker('import', {}, changes);
  const [about] = JSON.parse((await rig.docker('image inspect team/imported:1')).stdout);
  assert.equal(about.Config.Cmd, ['cat', '/file']);
  rig.serve.rig.write('c', {
    Dockerfile: 'FROM busybox\nCOPY --from=team/imported:1 /file /\nCMD ["cat", "/file"]\n',
  });
  await rig.docker('build -t boxed c', CLASSIC);
  const ran = await rig.serve.rig.kiln(['run', 'boxed'], { expect: 0 });
  assert.is(ran.stdout, 'imported');
  await rig.docker('compose build', { cwd: rig.serve.rig.path('c') });
  assert.match((await rig.docker('images')).stdout, /^composed +latest/m);
  const events = await rig.docker('events --since 1h --until 0s --filter event=import');
  assert.match(events.stdout, /^\S+ image import sha256:[0-9a-f]{64} \(name=team\/imported:1\)$/m);
  const refused = await rig.docker('run --rm busybox true', { expect: 125 });
  assert.match(refused.stderr, /Kiln builds images .*\[KILN_NO_ENGINE\]/);
  const search = await rig.docker('search busybox', { expect: 1 });
  assert.match(search.stderr, /Kiln does not search registries.*\[KILN_NO_ENGINE\]/);
  const commit = await rig.docker('commit some team/made', { expect: 1 });
  assert.match(commit.stderr, /committed from a container.*\[KILN_NO_ENGINE\]/);
});

const COMPOSE = `
services:
  one:
    image: composed
    build:
      context: .
      dockerfile_inline: |
        FROM busybox
        RUN echo composed > /x
`;

test('versions, the mode of the socket, and requests of browsers', async () => {
  await using rig = await DockerRig.create([]);
  assert.is(statSync(rig.socket).mode & 0o777, 0o660);
  const ping = await rig.ask('GET', '/_ping');
  assert.equal([ping.status, ping.text], [200, 'OK']);
  assert.equal([ping.headers['builder-version'], ping.headers.ostype], ['2', 'linux']);
  const status = async (path: string, headers = {}) => {
    const { status: code, text } = await rig.ask('GET', path, { headers });
    return [code, code === 200 ? '' : JSON.parse(text).message.replace(/ \[.*/, '')];
  };
  assert.equal(await status('/v1.24/version'), [200, '']);
  assert.equal((await status('/v1.23/version'))[0], 400);
  assert.match((await status('/v1.99/version'))[1], /is too new\. Maximum supported API version/);
  for (const headers of [
    { origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site' },
    { host: 'evil.example' },
    { host: 'evil.example:2375' },
  ])
    assert.equal((await status('/images/json', headers))[0], 403, JSON.stringify(headers));
  for (const host of ['docker', 'localhost', 'api.moby.localhost', '127.0.0.1:2375', '[::1]:2375'])
    assert.equal(await status('/images/json', { host }), [200, '']);
  assert.equal((await status('/images/%zz/json'))[0], 400);
  assert.equal((await status('/images/json?filters=%7B%22no%22%3A%5B%5D%7D'))[0], 400);
  assert.not.match(rig.serve.printed, /ERROR/);
});

test('a client that hangs up cancels its build, at each stage', async () => {
  await using rig = await DockerRig.create(['busybox']);
  const { rig: place } = rig.serve;
  place.write('c', { Dockerfile: 'FROM busybox\nRUN echo begun && sleep 600\n' });
  const tar = execFileSync('tar', ['-c', '-C', place.path('c'), '.']);
  const headers = { host: 'docker', 'content-length': String(tar.byteLength) };
  const open = () =>
    request({ socketPath: rig.socket, method: 'POST', path: '/build', headers, agent: false });
  // In the middle of the archive.
  const half = open();
  half.on('error', () => {});
  await new Promise((resolve) => half.write(tar.subarray(0, 700), resolve));
  half.destroy();
  // While the step runs.
  const whole = open();
  whole.on('error', () => {});
  whole.end(tar);
  const [answer] = (await once(whole, 'response')) as [IncomingMessage];
  answer.on('error', () => {});
  for await (const piece of answer) if (`${piece}`.includes('begun\\n')) break;
  whole.destroy();
  const running = () => execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
  await until(() => !running().includes('sleep 600'));
  // By its name.
  const named = request({
    ...{ socketPath: rig.socket, method: 'POST', path: '/build?buildid=b1', headers },
    agent: false,
  });
  named.end(tar);
  const [cancelled] = (await once(named, 'response')) as [IncomingMessage];
  let said = '';
  for await (const piece of cancelled) {
    said += piece;
    if (said.includes('begun\\n')) await rig.ask('POST', '/build/cancel?id=b1');
  }
  assert.match(said, /"errorDetail":.*cancelled/);
  await until(() =>
    readdirSync(place.path('store/tmp'), { recursive: true }).every(
      (name) => !`${name}`.includes('docker-context'),
    ),
  );
  assert.not.match(rig.serve.printed, /ERROR/);
});

test('what lies, or is not what it says, leaves nothing behind', async () => {
  await using rig = await DockerRig.create(['busybox']);
  const messages: Answer[] = [];
  const build = async (query: string, body?: Uint8Array | string, headers = {}) => {
    const answer = await rig.ask('POST', `/build?${query}`, { body, headers });
    messages.push(answer);
    return answer;
  };
  await build('', 'no archive at all');
  await build('', '');
  await build('buildargs={', 'x');
  await build('labels=[1]', 'x');
  await build('ulimits=[{"Name":1}]', 'x');
  await build('networkmode=container:x', 'x');
  await build('remote=file:///etc/passwd');
  await build('', 'x', { 'x-registry-config': 'bm90IGpzb24=' });
  await build('session=none&remote=client-session&version=2');
  for (const { status, text } of messages) {
    assert.ok(status >= 400 && status < 500, text);
    assert.match(JSON.parse(text.trim().split('\n').at(-1) ?? '').message, /\[KILN_[A-Z_]+\]/);
  }
  const left = (await rig.serve.rig.kiln(['du', '--verbose'], { expect: 0 })).stdout;
  assert.not.match(left, /docker-context/);
  assert.not.match(rig.serve.printed, /ERROR/);
});

test.run();
