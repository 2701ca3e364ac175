import { execFileSync } from 'node:child_process';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cat, Rig } from './rig.ts';

const CONFIG = JSON.stringify({
  proxies: { default: { httpProxy: 'http://cfg.invalid:1', noProxy: 'cfg' } },
});
const UNSET = Object.fromEntries(
  ['HTTP', 'HTTPS', 'NO', 'ALL', 'FTP']
    .flatMap((name) => [`${name}_PROXY`, `${name.toLowerCase()}_proxy`])
    .map((name) => [name, '']),
);

test("proxies of docker's config.json are in steps, but in no key, history or image", async () => {
  await using rig = await Rig.create('busybox');
  rig.write('.', {
    'docker/config.json': CONFIG,
    'c/Dockerfile': 'FROM busybox\nRUN env | grep -i _proxy | sort > /p; true\n',
  });
  const env = { ...UNSET, DOCKER_CONFIG: rig.path('docker') };
  const build = async (...words: string[]) =>
    (await rig.kiln(['build', '--progress=plain', '-t', 'made', ...words, 'c'], { env, expect: 0 }))
      .stderr;
  await build();
  const all = [
    'HTTP_PROXY=http://cfg.invalid:1',
    'NO_PROXY=cfg',
    'http_proxy=http://cfg.invalid:1',
    'no_proxy=cfg',
    '',
  ];
  assert.is(await cat(rig, 'made', '/p'), all.join('\n'));
  assert.match(await build(), /CACHED/);
  rig.write('docker', { 'config.json': '{}' });
  assert.match(await build(), /CACHED/, 'the same step without proxies is the same');
  rig.write('docker', { 'config.json': CONFIG });
  await build('--no-cache', '--build-arg', 'no_proxy=arg');
  assert.match(await cat(rig, 'made', '/p'), /^NO_PROXY=arg$/m);
  await build('--attest', 'type=provenance,mode=max', '-o', 'type=oci,dest=layout,tar=false');
  assert.throws(
    () => execFileSync('grep', ['-rqa', 'cfg.invalid', rig.path('layout')]),
    'in the image',
  );
});

test('an unusable docker configuration is a warning, and the build goes on', async () => {
  await using rig = await Rig.create();
  rig.write('.', {
    'docker/config.json': '{',
    'c/Dockerfile': 'FROM scratch\nCOPY Dockerfile /\n',
  });
  const { stderr } = await rig.kiln(['build', 'c'], {
    env: { DOCKER_CONFIG: rig.path('docker') },
    expect: 0,
  });
  assert.match(stderr, /WARNING: .*docker\/config\.json.* proxies are not used/);
});

test.run();
