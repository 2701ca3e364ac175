import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startRegistry } from '../registry/testing/registry.ts';
import { withBuildctl } from './buildctl-rig.ts';
import type { Rig } from './rig.ts';
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

test('programs, drives and layers of Windows are refused with the line that asks for them', () =>
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
    // As a daemon on Windows makes them.
    const made = rig.write('made', {
      Dockerfile: 'FROM scratch\nCOPY . /\n',
      'Files/Windows/a': 'a',
      'Hives/b': 'b',
    });
    await rig.kiln(['build', '--platform=windows/amd64', '-t', 'made', made], { expect: 0 });
    const onto = await refused('FROM made\nCOPY f /f\n');
    assert.match(onto, /made:latest have the form of Windows.*\[KILN_PLATFORM_UNSUPPORTED\]/);
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
