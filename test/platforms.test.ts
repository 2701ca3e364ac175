import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, steps } from './rig.ts';

const emulated = process.arch === 'x64' && existsSync('/usr/bin/qemu-aarch64-static');
if (!emulated) console.log('SKIP foreign platforms: needs an amd64 host with qemu-user-static');

/**
 * True when the kernel of this host runs arm64 programs (set up by Docker's installer or
 * systemd-binfmt). Then Kiln cannot choose the emulator, and the test is skipped.
 */
function hostEmulates(name: string): boolean {
  const does = existsSync('/proc/sys/fs/binfmt_misc/qemu-aarch64');
  if (does) console.log(`SKIP ${name}: this host runs arm64 programs by itself`);
  return does;
}

const BOTH = '--platform=linux/amd64,linux/arm64';

/** The text of a file in a `type=local` export, below the directory of a platform. */
function read(rig: Rig, directory: string, platform: string, file: string): string {
  return readFileSync(rig.path(directory, platform, file), 'utf8').trim();
}

test('one build runs steps on amd64 and arm64, and says which were emulated', async () => {
  if (!emulated) return;
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM --platform=$BUILDPLATFORM busybox AS tools
ARG BUILDPLATFORM BUILDARCH
RUN echo "$BUILDPLATFORM $BUILDARCH $(uname -m)" > /built-on
FROM busybox
ARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT
COPY --from=tools /built-on /built-on
RUN uname -m > /machine && echo "$TARGETPLATFORM $TARGETOS $TARGETARCH [$TARGETVARIANT]" > /target
RUN --network=none touch /f && chown 1000:1001 /f && chmod 4755 /f && \
su -s /bin/sh nobody -c 'id -u' > /id && stat -c '%u %g %a' /f >> /id
`,
  });
  const told = await rig.build('c', BOTH, '-o', 'out');
  for (const [platform, machine] of [
    ['amd64', 'x86_64'],
    ['arm64', 'aarch64'],
  ]) {
    assert.is(read(rig, 'out', `linux_${platform}`, 'machine'), machine);
    assert.is(
      read(rig, 'out', `linux_${platform}`, 'target'),
      `linux/${platform} linux ${platform} []`,
    );
    assert.is(read(rig, 'out', `linux_${platform}`, 'built-on'), 'linux/amd64 amd64 x86_64');
    assert.is(read(rig, 'out', `linux_${platform}`, 'id'), '65534\n1000 1001 4755');
  }
  const names = [...steps(told).keys()];
  assert.is(
    names.filter((name) => name.includes('built-on') && name.includes('tools 2/2')).length,
    1,
  );
  assert.match(told, /2 steps for linux\/arm64 ran emulated by (qemu-aarch64|aarch64-binfmt)/);
  assert.match(told, /FROM --platform=\$BUILDPLATFORM/);
  const again = await rig.build('c', BOTH, '-o', 'again');
  assert.not.match(again, /emulated/);
  assert.is(read(rig, 'again', 'linux_arm64', 'machine'), 'aarch64');
});

test('the platform is in the cache key: another platform runs the same text again', async () => {
  if (!emulated) return;
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM --platform=linux/amd64 busybox\n' +
      'COPY /Dockerfile /\n' +
      'FROM scratch\n' +
      'COPY --from=0 / /\n' +
      'RUN true\n',
  });
  rig.write('d', { Dockerfile: 'FROM busybox\nRUN uname -m > /m\n' });
  await rig.build('d', '--platform=linux/amd64', '-o', 'one');
  const second = await rig.build('d', '--platform=linux/arm64', '-o', 'two');
  assert.is(readFileSync(rig.path('one/m'), 'utf8'), 'x86_64\n');
  assert.is(readFileSync(rig.path('two/m'), 'utf8'), 'aarch64\n');
  assert.is(steps(second).get('[2/2] RUN uname -m > /m'), 'DONE');
});

test('a set-user-ID program keeps its rights when it is emulated', async () => {
  if (!emulated || hostEmulates('a set-user-ID program keeps its rights when it is emulated'))
    return;
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `
FROM --platform=linux/arm64 busybox
RUN mkdir /s /plain && cp /bin/busybox /s/su && cp /bin/busybox /plain/su && chmod 4755 /s/su
USER 1234
RUN /s/su -c id root > /tmp/su 2>&1 < /dev/null || true; \
/plain/su -c id root > /tmp/plain 2>&1 < /dev/null || true
`,
  });
  await rig.build('c', '-o', 'out');
  assert.match(readFileSync(rig.path('out/tmp/su'), 'utf8'), /Password/);
  assert.match(readFileSync(rig.path('out/tmp/plain'), 'utf8'), /must be suid/);
});

test('an emulator named in kiln.toml is the one that runs', async () => {
  if (!emulated || hostEmulates('an emulator named in kiln.toml is the one that runs')) return;
  await using rig = await Rig.create('busybox');
  const emulator = rig.path('my-qemu');
  writeFileSync(emulator, readFileSync('/usr/bin/qemu-aarch64-static'));
  chmodSync(emulator, 0o755);
  rig.write('etc', { 'kiln.toml': `[emulators]\naarch64 = ${JSON.stringify(emulator)}\n` });
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN uname -m > /m\n' });
  const env = { KILN_CONFIG: rig.path('etc/kiln.toml') };
  const args = ['build', '--progress=plain', '--platform=linux/arm64', '-o', 'out', 'c'];
  const ran = await rig.kiln(args, { expect: 0, env });
  assert.match(ran.stderr, /ran emulated by my-qemu/);
  writeFileSync(rig.path('etc/kiln.toml'), '[emulators]\narm64 = 7\n');
  const refused = await rig.kiln([...args, '--no-cache'], { expect: 1, env });
  assert.match(
    refused.stderr,
    /emulators\.arm64 is not an absolute path \[KILN_EMULATORS_INVALID\]/,
  );
});

test('a step that this host cannot run is an error with a hint', async () => {
  if (hostEmulates('a step that this host cannot run is an error with a hint')) return;
  await using rig = await Rig.create('busybox');
  rig.write('etc', { 'kiln.toml': '[emulators]\narm64 = "/nowhere/qemu"\n' });
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN uname -m > /m\n' });
  if (process.arch !== 'x64') return console.log('SKIP no emulator: needs an amd64 host');
  const env = { KILN_CONFIG: rig.path('etc/kiln.toml') };
  const ran = await rig.kiln(['build', '--platform=linux/arm64', 'c'], { expect: 1, env });
  assert.match(ran.stderr, /Dockerfile:2/);
  assert.match(ran.stderr, /\[KILN_NO_EMULATION\]/);
});

test('a base without the platform is an error that lists the platforms that it has', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\n' });
  const ran = await rig.kiln(['build', '--platform=linux/s390x', 'c'], { expect: 1 });
  assert.match(ran.stderr, /linux\/s390x/);
  assert.match(ran.stderr, /linux\/amd64, linux\/arm64/);
});

test('platforms are normalised: aliases and variants mean the same everywhere', async () => {
  await using rig = await Rig.create();
  rig.write('c', {
    Dockerfile:
      'FROM scratch\n' +
      'ARG TARGETPLATFORM\n' +
      'ARG TARGETVARIANT\n' +
      'LABEL p=$TARGETPLATFORM v=$TARGETVARIANT\n',
  });
  await rig.build(
    'c',
    '--platform',
    'x86_64,aarch64,linux/arm64/v8,linux/arm,linux/arm/v6,armhf,linux/amd64/v2,LINUX/386',
    '-o',
    'type=oci,dest=l,tar=false',
  );
  const blob = (digest: string) =>
    JSON.parse(readFileSync(rig.path('l/blobs/sha256', digest.slice(7)), 'utf8'));
  const index = blob(
    JSON.parse(readFileSync(rig.path('l/index.json'), 'utf8')).manifests[0].digest,
  );
  const labels = index.manifests.map(
    ({ digest, platform }: { digest: string; platform: Record<string, string> }) => {
      const config = blob(blob(digest).config.digest);
      assert.is(config.architecture, platform['architecture']);
      assert.is(config.variant, platform['variant']);
      return `${config.config.Labels.p} ${config.config.Labels.v}`.trim();
    },
  );
  assert.equal(labels, [
    'linux/amd64',
    'linux/arm64',
    'linux/arm/v7 v7',
    'linux/arm/v6 v6',
    'linux/amd64/v2 v2',
    'linux/386',
  ]);
});

test('a name that is not a platform is refused with a suggestion', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\n' });
  const ran = await rig.kiln(['build', '--platform=linux/arm64,amd46', 'c'], { expect: 2 });
  assert.match(ran.stderr, /"amd46" is not a platform.*amd64/);
});

test('no shell that an emulation starts outlives its build', () => {
  const shells = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
  assert.equal(
    shells.filter((line) => /unshare --user --mount/.test(line)),
    [],
  );
});

test.run();
