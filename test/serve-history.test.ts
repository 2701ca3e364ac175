import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

test('the history lists builds, shows their logs and forgets them', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const history = async (...args: string[]) => await serve.buildx(['history', ...args]);
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo told >&2\n' });
  await serve.build(['--build-arg', 'WORD=x', context]);
  await serve.build(['-f', '-', context], {
    stdin: 'FROM busybox\nRUN echo why; exit 7\n',
    expect: 1,
  });
  const list = (await history('ls', '--format', '{{json .}}')).stdout.trim().split('\n');
  assert.equal(
    list.map((line) => JSON.parse(line).status),
    ['Error', 'Completed'],
    list.join('\n'),
  );
  const good = JSON.parse(list[1]!).ref.split('/').at(-1);
  assert.match((await history('logs', good)).stderr, /^#\d+ [\d.]+ told$/m);
  const shown = (await history('inspect', good)).stdout;
  assert.match(shown, /Build Steps:\s+[1-9]\d*\/[1-9]/);
  assert.match(shown, /WORD\s+x/);
  const failed = (await history('inspect')).stdout;
  assert.match(failed, />>> RUN echo why; exit 7/);
  assert.match(failed, /exit code: 7/);
  await history('rm', good);
  assert.is((await history('ls', '--format', '{{.Ref}}')).stdout.trim().split('\n').length, 1);
  await history('rm', '--all');
  assert.is((await history('ls', '--format', '{{.Ref}}')).stdout.trim(), '');
});

test('a record has attachments: provenance, SBOM, index and manifests by platform', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nARG WORD\nCOPY Dockerfile /\n' });
  const args = ['--build-arg', 'WORD=x', '--sbom=true', '-o', 'type=oci,dest=out.tar', context];
  const history = async (...args: string[]) => await serve.buildx(['history', ...args]);
  await serve.build(args);
  const shown = JSON.parse((await history('inspect', '--format', 'json')).stdout);
  assert.match(shown.Materials[0].URI, /^pkg:docker\/busybox@latest/);
  assert.match(shown.Materials[0].Digests[0], /^sha256:/);
  const types = shown.Attachments.map(({ Type }: { Type: string }) => Type);
  assert.equal(types.sort(), [
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.oci.image.manifest.v1+json',
    'https://slsa.dev/provenance/v0.2',
    'https://spdx.dev/Document',
  ]);
  const attachment = async (...args: string[]) =>
    JSON.parse((await history('inspect', 'attachment', ...args)).stdout);
  const { invocation } = await attachment('--type', 'provenance');
  assert.is(invocation.parameters.args['build-arg:WORD'], 'x');
  assert.match((await attachment('--type', 'sbom')).spdxVersion, /^SPDX-/);
  const index = await attachment('--type', 'index');
  const { digest } = index.manifests[0];
  const manifest = await attachment(shown.Ref, digest);
  assert.is(manifest.config.mediaType, 'application/vnd.oci.image.config.v1+json');
  // Two platforms: each has its own.
  await serve.build(['--platform', 'linux/amd64,linux/arm64', '-f', '-', context], {
    stdin: 'FROM scratch\nCOPY Dockerfile /\n',
  });
  for (const platform of ['linux/amd64', 'linux/arm64']) {
    const one = await attachment('--type', 'provenance', '--platform', platform);
    assert.is(one.buildType, 'https://mobyproject.org/buildkit@v1');
  }
  const both = JSON.parse((await history('inspect', '--format', 'json')).stdout);
  assert.equal(both.Platform, ['linux/amd64', 'linux/arm64']);
  await rig.kiln(['fsck'], { expect: 0 });
  const kept = readdirSync(join(rig.store, 'logs')).filter((name) => name.endsWith('.attached'));
  rmSync(join(rig.store, 'logs', kept[0]!), { recursive: true });
  writeFileSync(join(rig.store, 'logs', kept[0]!), '');
  const damaged = await rig.kiln(['fsck'], { expect: 1 });
  assert.match(damaged.stdout + damaged.stderr, /attached in the store is not a directory/);
});

test('a build is exported with its log, its error and the trace of client and server', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo why; exit 7\n' });
  await serve.build([context], { expect: 1 });
  await serve.buildx(['history', 'export', '--finalize', '-o', 'one.dockerbuild']);
  await run(['tar', '-xzf', 'one.dockerbuild'], { cwd: rig.directory });
  const read = async (digest: string) =>
    (await run(['cat', rig.path(`blobs/sha256/${digest.slice(7)}`)])).stdout;
  const { manifests } = JSON.parse((await run(['cat', rig.path('index.json')])).stdout);
  const { config, layers } = JSON.parse(await read(manifests[0].digest));
  const record = JSON.parse(await read(config.digest));
  assert.equal([record.numTotalSteps, record.numCompletedSteps], [5, 5]);
  assert.match(record.error.message, /exit code: 7/);
  const blob = async (type: string) =>
    await read(layers.find(({ mediaType }: { mediaType: string }) => mediaType === type).digest);
  assert.match(await blob('application/vnd.buildkit.status.v0'), /\[2\/2\] RUN echo why; exit 7/);
  const trace = await blob('application/vnd.buildkit.otlp.json.v0');
  assert.match(trace, /"Name": "\[2\/2\] RUN echo why; exit 7"/);
  // A span of buildx itself, for the whole command.
  assert.match(trace, /"Name": "build"/);
  assert.is(new Set(trace.match(/"TraceID": "(?!0{32})\w+"/g)).size, 1);
});

test('a build that its user cancels is canceled, one that runs is running', async () => {
  await using serve = await ServeRig.create('busybox');
  const context = serve.rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo up; sleep 600\n' });
  const listed = async (status: string) => {
    const args = ['history', 'ls', '--filter', `status=${status}`, '--format', '{{json .}}'];
    return (await serve.buildx(args)).stdout.trim().split('\n').filter(Boolean);
  };
  let shown: Promise<{ status: string; logs: string }> | undefined;
  const show = async (cancel: () => void) => {
    try {
      const { status, ref } = JSON.parse((await listed('running'))[0] ?? '{}');
      const { stderr } = await serve.buildx(['history', 'logs', ref.split('/').at(-1)], {
        expect: undefined,
        watch: (output) => {
          if (/^#\d+ [\d.]+ up$/m.test(output)) cancel();
        },
      });
      return { status, logs: stderr };
    } finally {
      cancel();
    }
  };
  const ran = await serve.buildx(['build', '--progress=plain', context], {
    expect: undefined,
    watch: (output, kill) => {
      if (shown || !/^#\d+ [\d.]+ up$/m.test(output)) return;
      let isCancelled = false;
      shown = show(() => {
        // Twice means at once.
        if (!isCancelled) kill('SIGINT');
        isCancelled = true;
      });
    },
  });
  assert.match(ran.stderr, /context canceled/);
  // Who asks later for the log of a build that runs is told what came before.
  const { status, logs } = (await shown) ?? {};
  assert.is(status, 'Running');
  assert.match(logs ?? '', /^#\d+ [\d.]+ up$/m);
  assert.is((await listed('canceled')).length, 1);
  assert.equal(await listed('error'), []);
  const { stdout } = await serve.buildx(['history', 'inspect']);
  assert.match(stdout, /^Status:\s+Canceled$/m);
});

test('the history outlives a killed server, as long as its configuration says', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN echo up; sleep 600\n',
    Good: 'FROM busybox\nRUN echo good\n',
  });
  await serve.build(['-f', `${context}/Good`, context]);
  let restarted: Promise<void> | undefined;
  await serve.buildx(['build', '--progress=plain', context], {
    expect: 1,
    watch: (output) => {
      if (/^#\d+ [\d.]+ up$/m.test(output)) restarted ??= serve.restart();
    },
  });
  await restarted;
  const statuses = async () => {
    const { stdout } = await serve.buildx(['history', 'ls', '--format', '{{.Status}}']);
    return stdout.trim().split('\n');
  };
  assert.equal(await statuses(), ['Error', 'Completed']);
  assert.match((await serve.buildx(['history', 'inspect'])).stdout, /the build was killed/);
  assert.match((await serve.buildx(['history', 'logs', '^1'])).stderr, /good$/m);
  rig.write('.', { 'kiln.toml': '[history]\n  maxEntries = 1\n' });
  await serve.restart(['--config', rig.path('kiln.toml')]);
  assert.equal(await statuses(), ['Error']);
});

test.run();
