import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { MEDIA } from '../base/oci.ts';
import { startRegistry } from '../registry/testing/registry.ts';
import { archive, readAll } from '../snapshotter/layer/archive.fixture.ts';
import { withBuildctl } from './buildctl-rig.ts';
import { Rig } from './rig.ts';
import type { ServeRig } from './serve-rig.ts';

/** A server with `buildctl build`, which must succeed or end with `expect`. */
const withBuild = (
  work: (
    build: (context: string, args: readonly string[], expect?: number) => Promise<string>,
    serve: ServeRig,
  ) => Promise<void>,
): Promise<void> =>
  withBuildctl((buildctl, serve) =>
    work(async (context, args, expect = 0) => {
      const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
      const build = ['build', '--frontend', 'dockerfile.v0', ...local, ...args];
      return (await buildctl(build, { expect })).stderr;
    }, serve),
  );

interface Shown {
  readonly os: string;
  readonly 'os.version'?: string;
  readonly config: { readonly WorkingDir?: string; readonly Env?: readonly string[] };
}

/** The config of an image in a registry. */
async function configOf(rig: Rig, name: string, platform: string): Promise<Shown> {
  const form = ['--format', '{{json .Image}}'];
  const { stdout } = await rig.kiln(['imagetools', 'inspect', ...form, name], { expect: 0 });
  const shown = JSON.parse(stdout);
  return shown[platform] ?? shown;
}

test('images for two versions of Windows are built of files, and found by their version', () =>
  withBuild(async (build, { rig }) => {
    await using registry = await startRegistry();
    const name = `${registry.host}/versions:latest`;
    const context = rig.write('c', {
      Dockerfile: `
FROM ${name} AS reg
FROM scratch AS base
ARG TARGETOSVERSION
COPY <<EOF /osversion
\${TARGETOSVERSION}
EOF
ARG TARGETPLATFORM
COPY <<EOF /targetplatform
\${TARGETPLATFORM}
EOF
`,
    });
    const versions = ['1.2.3', '1.1.0'];
    const platforms = versions.map((version) => `windows(${version})/bar`);
    await build(context, [
      ...['--opt', `platform=${platforms.join()}`, '--opt', 'target=base'],
      ...['--output', 'type=local,dest=out', '--output', `type=image,name=${name},push=true`],
    ]);
    assert.equal(readdirSync(rig.path('out')).sort(), ['windows(1.1.0)_bar', 'windows(1.2.3)_bar']);
    for (const [index, version] of versions.entries()) {
      const directory = `out/${platforms[index]!.replace('/', '_')}`;
      const text = (file: string) => readFileSync(rig.path(directory, file), 'utf8');
      assert.equal(
        [text('osversion'), text('targetplatform')],
        [`${version}\n`, `${platforms[index]}\n`],
      );
      const found = `found-${version}`;
      await build(context, [
        ...['--opt', `platform=${platforms[index]}`, '--opt', 'target=reg'],
        ...['--output', `type=local,dest=${found}`],
      ]);
      assert.is(readFileSync(rig.path(found, 'osversion'), 'utf8'), `${version}\n`);
    }
    const other = await build(
      context,
      ['--opt', 'platform=windows(1.3.0)/bar', '--opt', 'target=reg', '-o', 'type=local,dest=x'],
      1,
    );
    assert.match(other, /has no image for windows\(1\.3\.0\)\/bar .*KILN_PLATFORM_NOT_FOUND/);
    assert.match(other, /it exists for windows\(1\.2\.3\)\/bar, windows\(1\.1\.0\)\/bar/);
  }));

test('an image on one for Windows has its version, with paths as Windows writes them', () =>
  withBuild(async (build, { rig }) => {
    await using registry = await startRegistry();
    const [first, second] = [`${registry.host}/w:1`, `${registry.host}/w:2`];
    const version = '10.0.20348.1006';
    const base = rig.write('base', { Dockerfile: 'FROM scratch\nCOPY f C:\\\\app\\\\f\n', f: 'f' });
    const pushed = (name: string) => ['--output', `type=image,name=${name},push=true`];
    await build(base, ['--opt', `platform=windows(${version})/amd64`, ...pushed(first)]);
    const above = rig.write('above', {
      Dockerfile: `# escape=\`
FROM ${first}
WORKDIR C:\\app
WORKDIR sub
COPY dir\\g .
COPY dir\\g \\other\\
`,
      'dir/g': 'g',
    });
    const output = ['--output', 'type=local,dest=out'];
    await build(above, ['--opt', 'platform=windows/amd64', ...pushed(second), ...output]);
    const config = await configOf(rig, second, 'windows/amd64');
    assert.equal([config.os, config['os.version']], ['windows', version]);
    assert.equal(config.config, { WorkingDir: '\\app\\sub' });
    const files = readdirSync(rig.path('out'), { recursive: true }).sort();
    assert.equal(files, ['app', 'app/f', 'app/sub', 'app/sub/g', 'other', 'other/g']);
  }));

/** An OCI layout with an image as a daemon on Windows makes it. */
function writeWindowsImage(rig: Rig, directory: string): void {
  const files: Record<string, string | Buffer> = { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}' };
  const keep = (mediaType: string, bytes: Buffer) => {
    const digest = digestOf(bytes);
    files[`blobs/sha256/${digest.slice(7)}`] = bytes;
    return { mediaType, digest, size: bytes.length };
  };
  const dir = (path: string) => ({ path, type: 'directory' as const });
  const tars = [
    archive(
      ...[dir('Files'), dir('Files/Windows'), { path: 'Files/Windows/a', content: 'a' }],
      ...[dir('Files/gone'), { path: 'Files/gone/x', content: 'x' }],
      ...[dir('Hives'), { path: 'Hives/Software_Delta', content: 'hive' }, dir('UtilityVM')],
    ),
    archive(dir('Hives')),
    // Its directory Files is in the layer below.
    archive({ path: 'Files/.wh.gone' }, { path: 'Files/Windows/b', content: 'b' }),
  ];
  const config = {
    ...{ architecture: 'amd64', os: 'windows', 'os.version': '10.0.20348.1', config: {} },
    rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: keep(MEDIA.ociConfig, Buffer.from(JSON.stringify(config))),
    layers: tars.map((tar) => keep(MEDIA.ociLayer, tar)),
  };
  const target = keep(MEDIA.ociManifest, Buffer.from(JSON.stringify(manifest)));
  files['index.json'] = JSON.stringify({ schemaVersion: 2, manifests: [target] });
  rig.write(directory, files);
}

/** The paths in each layer of an image in an OCI layout, without those of `base` at the bottom. */
function layersIn(layout: string, base: number): string[][] {
  const blob = (digest: string) => readFileSync(join(layout, 'blobs/sha256', digest.slice(7)));
  let document = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'));
  while (document.manifests) document = JSON.parse(blob(document.manifests[0].digest).toString());
  return document.layers.slice(base).map(({ digest }: { digest: string }) => {
    const bytes = blob(digest);
    return readAll(bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).map(({ path }) => path);
  });
}

const tree = (rig: Rig, directory: string): string[] =>
  readdirSync(rig.path(directory), { recursive: true }).map(String).sort();

test('files are copied onto an image of Windows and out of it, in layers of its form', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create();
  writeWindowsImage(rig, 'windows');
  const context = rig.write('c', {
    Dockerfile: `# escape=\`
FROM win AS made
WORKDIR C:\\app
COPY f C:\\Windows\\f
COPY --from=win C:\\Windows\\b .\\sub\\
FROM scratch AS out
COPY --from=win Windows /w
`,
    f: 'f',
  });
  const win = [
    '--platform=windows/amd64',
    `--build-context=win=oci-layout://${rig.path('windows')}`,
  ];
  await rig.build(context, ...win, '--target=out', '-o', 'out');
  assert.equal(tree(rig, 'out'), ['w', 'w/a', 'w/b']);
  const name = `${registry.host}/made:1`;
  const stage = ['--target=made', ...win];
  await rig.build(context, ...stage, '-t', 'made', '-o', 'type=image', '-o', 'whole');
  const whole = ['Windows', 'Windows/a', 'Windows/b', 'Windows/f', 'app', 'app/sub', 'app/sub/b'];
  assert.equal(tree(rig, 'whole'), whole);
  // What was built here is a base, and each store that takes it over has the same layers.
  const onto = rig.write('onto', { Dockerfile: 'FROM made\nCOPY g /app/sub/\n', g: 'g' });
  const pushed = ['-t', name, '--push', '--cache-to=type=inline'];
  await rig.build(onto, '--platform=windows/amd64', ...pushed);
  await rig.build(
    rig.write('from', { Dockerfile: `FROM ${name} AS x\nFROM scratch\nCOPY --from=x / /\n` }),
    ...['--platform=windows/amd64', '-o', 'again', '-o', 'type=oci,dest=again-oci,tar=false'],
  );
  const all = [...whole, 'app/sub/g'];
  assert.equal(tree(rig, 'again'), all);
  assert.equal(layersIn(rig.path('again-oci'), 0), [
    [
      ...['Hives', 'Files', 'Files/Windows/', 'Files/Windows/a', 'Files/Windows/b'],
      ...['Files/Windows/f', 'Files/app/', 'Files/app/sub/', 'Files/app/sub/b', 'Files/app/sub/g'],
    ],
  ]);
  await using other = await Rig.create();
  const use = other.write('use', { Dockerfile: `FROM ${name}\nCOPY h /h\n`, h: 'h' });
  const outputs = ['-o', 'tree', '-o', 'type=oci,dest=oci,tar=false'];
  await other.build(use, '--platform=windows/amd64', ...outputs);
  assert.equal(tree(other, 'tree'), [...all, 'h'].sort());
  assert.equal(layersIn(other.path('oci'), 3), [
    ['Hives', 'Files', 'Files/app/'],
    ['Hives', 'Files', 'Files/Windows/', 'Files/Windows/f'],
    ['Hives', 'Files', 'Files/app/', 'Files/app/sub/', 'Files/app/sub/b'],
    ['Hives', 'Files', 'Files/app/', 'Files/app/sub/', 'Files/app/sub/g'],
    ['Hives', 'Files', 'Files/h'],
  ]);
  for (const { kiln } of [rig, other].map((one) => ({ kiln: one.kiln.bind(one) }))) {
    await kiln(['fsck'], { expect: 0 });
    await kiln(['prune', '-af'], { expect: 0 });
    await kiln(['fsck'], { expect: 0 });
  }
});

test('caches keep what layers for Windows stand for', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create();
  writeWindowsImage(rig, 'windows');
  const context = rig.write('c', {
    Dockerfile: 'FROM win\nCOPY f /Windows/f\nFROM scratch\nCOPY --from=0 / /\n',
    f: 'f',
  });
  const args = [
    '--platform=windows/amd64',
    `--build-context=win=oci-layout://${rig.path('windows')}`,
    ...['-o', 'tree', '-o', 'type=oci,dest=oci,tar=false'],
  ];
  const places = {
    registry: `type=registry,ref=${registry.host}/cache:1`,
    local: `type=local,dest=${rig.path('cache')}`,
  };
  for (const to of Object.values(places))
    await rig.build(context, ...args, `--cache-to=${to},mode=max`);
  const layers = layersIn(rig.path('oci'), 0);
  for (const from of [places.registry, places.local.replace('dest', 'src')]) {
    await using other = await Rig.create();
    const told = await other.build(context, ...args, `--cache-from=${from}`);
    assert.match(told, /COPY --from=0 \/ \/\n#\d+ CACHED/);
    assert.equal(tree(other, 'tree'), ['Windows', 'Windows/a', 'Windows/b', 'Windows/f']);
    assert.equal(layersIn(other.path('oci'), 0), layers);
  }
});

test('programs and drives of Windows are refused with the line that asks for them', () =>
  withBuild(async (build, serve) => {
    const { rig } = serve;
    const refused = async (dockerfile: string, files: Record<string, string> = {}) => {
      const context = rig.write('c', { Dockerfile: dockerfile, f: 'f', ...files });
      const args = ['--opt', 'platform=windows/amd64', '--output', 'type=local,dest=out'];
      return await build(context, args, 1);
    };
    const step = await refused('FROM scratch\nCOPY f /f\nRUN echo hi\n');
    assert.match(step, /^Dockerfile:3$/m);
    assert.match(
      step,
      /a step for windows\/amd64 cannot run on Linux \[KILN_PLATFORM_UNSUPPORTED\]/,
    );
    for (const path of ['D:/app', '//share/app', 'C:'])
      assert.match(await refused(`FROM scratch\nCOPY f ${path}\n`), /KILN_PLATFORM_UNSUPPORTED/);
    // A step for Linux beside it runs.
    const context = rig.write('c', {
      Dockerfile: `
FROM --platform=$BUILDPLATFORM busybox AS work
RUN echo made > /made
FROM scratch
COPY --from=work /made /made
`,
    });
    await serve.build(['--platform=windows/amd64', '-o', 'mixed', context]);
    assert.is(readFileSync(rig.path('mixed/made'), 'utf8'), 'made\n');
  }));

test.run();
