import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, type Ran, Rig, run } from './rig.ts';

/* RUN --device and --device with the real binary and a /var/run/cdi of the test. */
const SPEC = {
  cdiVersion: '0.6.0',
  kind: 'test.com/tun',
  devices: [
    { name: 'a', containerEdits: { env: ['TUN=there'], deviceNodes: [{ path: '/dev/net/tun' }] } },
  ],
};

async function build(rig: Rig, ...args: string[]): Promise<Ran> {
  writeFileSync(rig.path('tun.json'), JSON.stringify(SPEC));
  const script =
    'mount -t tmpfs tmpfs /run && mkdir /run/cdi && cp "$1" /run/cdi/ && shift && exec "$@"';
  return await run(
    [
      'unshare',
      '--mount',
      'sh',
      '-c',
      script,
      'sh',
      rig.path('tun.json'),
      KILN,
      'build',
      '--progress=plain',
      '--no-cache',
      ...args,
    ],
    { cwd: rig.directory, env: { KILN_ROOT: rig.store } },
  );
}

test('a step has a device when it asks for it and the build allows it', async () => {
  if (!existsSync('/dev/net/tun')) return console.log('SKIP device: needs /dev/net/tun');
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `# syntax=docker/dockerfile:1-labs
FROM busybox
RUN --device=test.com/tun=a,required test -c /dev/net/tun && echo with $TUN
RUN test ! -e /dev/net && echo without
`,
  });
  const refused = await build(rig, 'c');
  assert.match(refused.stderr, 'KILN_NOT_ALLOWED');
  assert.match(refused.stderr, '--allow device=test.com/tun=a');
  const built = await build(rig, '--allow=device', 'c');
  assert.is(built.code, 0, built.stderr);
  assert.match(built.stderr, /\d with there$/m);
  assert.match(built.stderr, /\d without$/m);
  rig.write('d', { Dockerfile: 'FROM busybox\nRUN --device=test.com/other,required true\n' });
  assert.match(
    (await build(rig, '--allow=device', 'd')).stderr,
    /KILN_DEVICE_UNKNOWN(.|\n)*its devices are test\.com\/tun=a/,
  );
});

test('--device gives the device to every step', async () => {
  if (!existsSync('/dev/net/tun')) return console.log('SKIP device: needs /dev/net/tun');
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN test -c /dev/net/tun\nRUN echo with $TUN\n' });
  const built = await build(rig, '--device=test.com/tun', 'c');
  assert.is(built.code, 0, built.stderr);
  assert.match(built.stderr, /\d with there$/m);
});

test.run();
