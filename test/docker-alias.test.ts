import { existsSync } from 'node:fs';
import { arch } from 'node:os';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

/*
 * What `alias docker=kiln` needs: the words of docker for what Kiln does. test/help.test.ts has the
 * words for what it does not.
 */

const lines = (text: string) => text.trim().split('\n');
const printed = async (rig: Rig, ...words: string[]) =>
  (await rig.kiln(words, { expect: 0 })).stdout;
const rows = async (rig: Rig, ...words: string[]) =>
  lines(await printed(rig, ...words)).map((line) => JSON.parse(line) as Record<string, unknown>);

async function withImages(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nLABEL made=here\nRUN echo 1 >/1\n' });
  await rig.build('c', '-t', 'app:1', '-t', 'reg.example/team/app:2');
  return rig;
}

test('builds have the names of docker, buildx, podman and buildah', async () => {
  await using rig = await withImages();
  for (const words of [
    'build',
    'b',
    'bud',
    'buildx build',
    'buildx b',
    'builder build',
    'image build',
  ])
    assert.match(
      await printed(rig, ...words.split(' '), '-q', 'c'),
      /^sha256:[0-9a-f]{64}\n$/,
      words,
    );
});

test('buildx ls and inspect tell the platforms of this host', async () => {
  await using rig = await Rig.create();
  const [host] = [`linux/${arch() === 'x64' ? 'amd64' : arch()}`];
  const [builder, ...others] = await rows(rig, 'buildx', 'ls', '--format', 'json');
  assert.equal(others, []);
  assert.is(builder?.['Name'], 'default');
  assert.match(String(builder?.['Platforms']), host);
  assert.match(await printed(rig, 'buildx', 'ls'), /^NAME +DRIVER\/ENDPOINT/);
  const inspected = await printed(rig, 'buildx', 'inspect', '--bootstrap');
  assert.match(inspected, /^Name: +default\n/);
  assert.match(inspected, `${host}`);
  assert.not(existsSync(rig.store), 'it opens no store');
});

test('kiln version has the formats of docker version', async () => {
  await using rig = await Rig.create();
  const version = (await printed(rig, 'version', '--format', '{{.Client.Version}}')).trim();
  assert.is(JSON.parse(await printed(rig, 'version', '-f', 'json')).Client.Version, version);
  assert.is(await printed(rig, 'version'), `kiln version ${version}\n`);
  assert.match(version, /^\d+\.\d+\.\d+/);
});

test('doctor --format json has a finding in each line', async () => {
  await using rig = await Rig.create();
  const { stdout } = await rig.kiln(['doctor', '--format', 'json']);
  for (const line of lines(stdout)) {
    const { name, ok, value } = JSON.parse(line);
    assert.equal([typeof name, typeof ok, typeof value], ['string', 'boolean', 'string']);
  }
});

test('images has the formats and columns of docker images', async () => {
  await using rig = await withImages();
  for (const list of ['images', 'image ls', 'image list']) {
    const words = list.split(' ');
    const template = '{{.Repository}}:{{.Tag}}';
    assert.equal(lines(await printed(rig, ...words, '--format', template)).sort(), [
      'app:1',
      'busybox:latest',
      'reg.example/team/app:2',
    ]);
    const [title, ...below] = lines(
      await printed(rig, ...words, '--format', 'table {{.ID}}\\t{{.Tag}}'),
    );
    assert.match(title ?? '', /^IMAGE ID +TAG$/);
    for (const line of below) assert.match(line, /^[0-9a-f]{12} +(?:1|2|latest)$/);
  }
  assert.match(await printed(rig, 'images', '--digests'), /^REPOSITORY +TAG +DIGEST +IMAGE ID/);
  const [app] = await rows(rig, 'images', 'app', '--format', 'json', '--no-trunc');
  assert.match(String(app?.['ID']), /^sha256:[0-9a-f]{64}$/);
  assert.is(app?.['Labels'], 'made=here');
});

test('images has the filters of docker images', async () => {
  await using rig = await withImages();
  const filtered = async (...filters: string[]) => {
    const flags = filters.flatMap((filter) => ['--filter', filter]);
    const text = await printed(rig, 'images', '--format', '{{.Repository}}', ...flags);
    return text.split('\n').filter(Boolean).sort();
  };
  const app = ['app', 'reg.example/team/app'];
  assert.equal(await filtered('label=made'), app);
  assert.equal(await filtered('label=made=here'), app);
  assert.equal(await filtered('label=made=there'), []);
  assert.equal(await filtered('label!=made'), ['busybox']);
  assert.equal(await filtered('reference=app'), ['app']);
  assert.equal(await filtered('reference=*p:?'), ['app']);
  assert.equal(await filtered('reference=a*', 'reference=busybox:latest'), ['app', 'busybox']);
  assert.equal(await filtered('reference=reg.example/*/app'), ['reg.example/team/app']);
  assert.equal(await filtered('since=busybox'), app);
  assert.equal(await filtered('before=app:1'), ['busybox']);
  assert.equal(await filtered('until=24h'), []);
  assert.equal(await filtered('until=2000-01-01'), []);
  assert.equal(await filtered('until=2199-01-01', 'reference=busybox'), ['busybox']);
});

test('sizes are those of unpacked files, with the compressed size beside them', async () => {
  await using rig = await withImages();
  const [busybox] = await rows(rig, 'images', 'busybox', '--format', 'json');
  const [app] = await rows(rig, 'images', 'app', '--format', 'json');
  const inspect = await printed(rig, 'inspect', '--type=image', 'busybox');
  const [inspected] = JSON.parse(inspect);
  const history = await rows(rig, 'history', '--format', 'json', 'app:1');
  const unpacked = Number(busybox?.['SizeBytes']);
  const compressed = Number(busybox?.['CompressedSizeBytes']);
  assert.ok(unpacked > 1.5 * compressed, `${unpacked} ${compressed}`);
  assert.equal([inspected.Size, inspected.CompressedSize], [unpacked, compressed]);
  const sum = history.reduce((total, row) => total + Number(row['SizeBytes']), 0);
  assert.is(sum, app?.['SizeBytes']);
  assert.ok(history.some((row) => row['SizeBytes'] === unpacked));
  assert.match(await printed(rig, 'history', '--human=false', 'app:1'), ` ${unpacked} `);
  const [top, ...below] = lines(await printed(rig, 'history', '-q', 'app:1'));
  assert.is(top, (await printed(rig, 'images', '-q', 'app')).trim());
  assert.ok(below.every((id) => id === '<missing>'));
  assert.is(app?.['CompressedSizeBytes'], null, 'its layer was never compressed');
  await using fresh = await Rig.create('busybox');
  const [loaded] = await rows(fresh, 'images', '--format', 'json');
  assert.is(loaded?.['CompressedSizeBytes'], compressed);
  assert.match(String(loaded?.['Size']), / compressed$/);
  assert.is(loaded?.['SizeBytes'], null, 'no layer is unpacked yet');
});

test('system df sums up, and system prune removes what nothing names', async () => {
  await using rig = await withImages();
  await rig.build('c', '--label', 'no=name');
  rig.write('d', { Dockerfile: 'FROM busybox\nRUN echo 2 >/2\n' });
  await rig.build('d', '-o', 'out');
  const df = async () =>
    Object.fromEntries(
      (await rows(rig, 'system', 'df', '--format', 'json')).map((row) => [row['Type'], row]),
    );
  const before = await df();
  assert.equal([before['Images']?.['TotalCount'], before['Images']?.['Active']], ['3', '2']);
  assert.match(await printed(rig, 'system', 'df'), /^TYPE +TOTAL +ACTIVE +SIZE +RECLAIMABLE\n/);
  assert.match(await printed(rig, 'system', 'df', '-v'), /^ID: /);
  assert.match(await printed(rig, 'system', 'prune', '-f'), /^Deleted: sha256:.*Freed /s);
  const pruned = await df();
  assert.is(pruned['Images']?.['TotalCount'], '2');
  const cached = (sums: typeof before) => Number(sums['Build Cache']?.['TotalCount']);
  assert.ok(cached(pruned) < cached(before), JSON.stringify([before, pruned]));
  assert.match((await rig.kiln(['system', 'prune', '-af', '--volumes'])).stderr, 'no volumes');
  assert.is((await df())['Images']?.['TotalCount'], '0');
  await rig.kiln(['fsck'], { expect: 0 });
});

test('image prune -a removes images with a name, as the filters say', async () => {
  await using rig = await withImages();
  assert.is(await printed(rig, 'image', 'prune', '-af', '--filter', 'until=24h'), 'Freed 0B\n');
  const labelled = await printed(rig, 'image', 'prune', '-af', '--filter', 'label=made=here');
  assert.match(labelled, 'Untagged: app:1\nUntagged: reg.example/team/app:2\n');
  assert.match(await printed(rig, 'images'), 'busybox');
  const wrong = await rig.kiln(['image', 'prune', '-f', '--filter', 'dangling=true'], {
    expect: 2,
  });
  assert.match(wrong.stderr, 'the filters are until, label');
  await printed(rig, 'image', 'prune', '-af');
  assert.is(lines(await printed(rig, 'images')).length, 1);
});

test('an image without a name goes at the next collection when a rebuild replaced it', async () => {
  await using rig = await Rig.create('busybox');
  const build = async (text: string, ...flags: string[]) => {
    rig.write('c', { Dockerfile: `FROM busybox\nRUN echo ${text} >/1\n` });
    return (await printed(rig, 'build', '-q', ...flags, 'c')).trim();
  };
  const [one, , other] = [await build('1'), await build('2'), await build('3', '--label', 'a=b')];
  const kept = async () =>
    lines(await printed(rig, 'images', '-q', '--no-trunc', '--filter', 'dangling=true')).sort();
  // The first is built again, and so it is the last of its kind.
  assert.is(await build('1'), one);
  assert.is((await kept()).length, 3);
  assert.match(await printed(rig, 'prune', '--auto'), 'a later build or a name replaced it');
  assert.equal(await kept(), [one, other].sort());
  const two = await build('2');
  await rig.kiln(['tag', one, 'named'], { expect: 0 });
  assert.equal(await kept(), [two, other].sort(), 'what has a name is not dangling');
  assert.match(await printed(rig, 'prune', '--auto'), 'a later build or a name replaced it');
  assert.equal(await kept(), [two, other].sort());
  assert.is(await printed(rig, 'run', 'named', 'cat', '/1'), '1\n');
  await rig.kiln(['fsck'], { expect: 0 });
});

test.run();
