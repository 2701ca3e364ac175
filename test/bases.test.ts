import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { makeImage } from '../registry/testing/images.ts';
import { publish } from '../registry/testing/publish.ts';
import { registryMissing, startRegistry, type TestRegistry } from '../registry/testing/registry.ts';
import { Rig, run, testImage } from './rig.ts';

const BASE = makeImage([{ name: 'a', text: 'base' }]);

const skip = registryMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

/** Returns the requests to the registry since the last call, shortened. */
function watching(registry: TestRegistry): () => Promise<string[]> {
  let seen = 0;
  return async () => {
    const all = await registry.requests();
    const fresh = all.slice(seen);
    seen = all.length;
    return fresh;
  };
}

const layerReads = (requests: readonly string[]) =>
  requests.filter((line) =>
    BASE.manifest.layers.some(({ digest }) => line.startsWith('GET ') && line.includes(digest)),
  );
const writes = (requests: readonly string[]) =>
  requests.filter((line) => /^(PUT|PATCH) .*\/blobs\//.test(line));
const mounts = (requests: readonly string[]) =>
  requests.filter((line) => /^POST .*\?mount=.* 201$/.test(line));

const digestIn = async (name: string) => {
  const read = await run(['skopeo', 'inspect', '--tls-verify=false', `docker://${name}`], {
    expect: 0,
  });
  return JSON.parse(read.stdout).Digest as string;
};

real(
  'a base that no step mounts is not downloaded: mounted within its registry, streamed to another',
  async () => {
    await using registry = await startRegistry();
    await using second = await startRegistry();
    await using rig = await Rig.create();
    const name = await publish(registry.host, 'team/base', '1', [BASE]);
    const asked = watching(registry);
    rig.write('c', {
      Dockerfile: `FROM ${name} AS unused\nCOPY no such/\nFROM ${name}\nLABEL a=b\n`,
    });
    await asked();
    await rig.build('c', '--push', '-t', `${registry.host}/team/app:1`);
    const first = await asked();
    assert.equal(
      [layerReads(first).length, mounts(first).length, writes(first).length],
      [0, 1, 1],
      'only the config is sent',
    );
    await rig.build('c', '--push', '-t', `${registry.host}/team/app:1`);
    const again = await asked();
    assert.equal(
      [layerReads(again).length, mounts(again).length, writes(again).length],
      [0, 0, 0],
      'nothing is sent again',
    );
    await rig.build('c', '--push', '-t', `${second.host}/app:1`);
    assert.is(layerReads(await asked()).length, 1);
    assert.is(writes(await second.requests()).length, 2);
    assert.match((await rig.kiln(['fsck'], { expect: 0 })).stdout, / 0 layers/);
  },
);

real(
  'an image has the same digest whether its base was left in the registry or downloaded',
  async () => {
    await using registry = await startRegistry();
    await using rig = await Rig.create();
    const base = `${registry.host}/team/busybox:1`;
    await rig.kiln(['copy', '-q', `oci-archive:${testImage('busybox')}`, base], { expect: 0 });
    rig.write('c', { Dockerfile: `FROM ${base}\nLABEL a=b\n` });
    await rig.build('c', '--push', '-t', `${registry.host}/team/app:left`);
    assert.match((await rig.kiln(['fsck'], { expect: 0 })).stdout, / 0 layers/);
    rig.write('d', { Dockerfile: `FROM ${base}\nRUN true\n` });
    await rig.build('d', '-t', 'brought');
    await rig.build('c', '--push', '-t', `${registry.host}/team/app:brought`);
    assert.is(
      await digestIn(`${registry.host}/team/app:left`),
      await digestIn(`${registry.host}/team/app:brought`),
    );
  },
);

real(
  'a base that a step mounts is downloaded once, and its layers are mounted on a push',
  async () => {
    await using registry = await startRegistry();
    await using rig = await Rig.create();
    const base = `${registry.host}/team/busybox:1`;
    await rig.kiln(['copy', '-q', `oci-archive:${testImage('busybox')}`, base], { expect: 0 });
    const asked = watching(registry);
    rig.write('c', { Dockerfile: `FROM ${base}\nRUN echo made > /made\n` });
    await asked();
    await rig.build('c', '--push', '-t', `${registry.host}/team/app:1`);
    const requests = await asked();
    assert.is(mounts(requests).length, 1, 'the base');
    assert.is(writes(requests).length, 2, 'the layer of the step, and the config');
    assert.is(
      requests.filter((line) => /^GET .*\/blobs\//.test(line)).length,
      2,
      'layer and config of the base',
    );
  },
);

real('a rebuild needs no registry; --pull asks it; a moved tag is noticed', async () => {
  await using rig = await Rig.create();
  const pinned = (host: string) =>
    `FROM ${host}/team/base@${BASE.target.digest}\nCOPY Dockerfile /\n`;
  const tagged = (host: string) => `FROM ${host}/team/base:1\nCOPY Dockerfile /\n`;
  {
    await using registry = await startRegistry();
    await publish(registry.host, 'team/base', '1', [BASE]);
    rig.write('tagged', { Dockerfile: tagged(registry.host) });
    rig.write('pinned', { Dockerfile: pinned(registry.host) });
    await rig.build('tagged', '-t', 'tagged');
    const asked = watching(registry);
    await asked();
    await rig.build('pinned', '-t', 'pinned');
    assert.equal(await asked(), [], 'a digest is here or not');
    await rig.build('tagged', '-t', 'tagged');
    assert.equal(await asked(), ['HEAD /v2/team/base/manifests/1 200']);
    await publish(registry.host, 'team/base', '1', [makeImage([{ name: 'a', text: 'newer' }])]);
    await rig.build('tagged', '-t', 'newer');
    await publish(registry.host, 'team/base', '1', [BASE]);
    await rig.build('tagged', '-t', 'older');
  }
  const ids = async (name: string) =>
    JSON.parse((await rig.kiln(['inspect', name], { expect: 0 })).stdout)[0].Id as string;
  assert.is.not(await ids('newer'), await ids('tagged'));
  assert.is(await ids('older'), await ids('tagged'));
  const offline = await rig.build('tagged', '-t', 'offline');
  assert.match(offline, 'CACHED');
  assert.match(offline, /cannot reach registry .* is used as it was last time, sha256:/);
  assert.is(await ids('offline'), await ids('tagged'));
  assert.not.match(await rig.build('pinned', '-t', 'pinned'), 'cannot reach');
  const pulled = await rig.kiln(['build', '--pull', 'tagged']);
  assert.is(pulled.code, 1);
  assert.match(pulled.stderr, 'KILN_REGISTRY_UNREACHABLE');
});

real(
  'a base is looked up once for all stages and platforms, and never when pinned or local',
  async () => {
    await using registry = await startRegistry();
    await using rig = await Rig.create();
    const base = `${registry.host}/team/busybox:1`;
    await rig.kiln(['copy', '-q', `oci-archive:${testImage('busybox')}`, base], { expect: 0 });
    const asked = watching(registry);
    const stages = (from: string) =>
      `FROM ${from} AS a\n` +
      'COPY Dockerfile /\n' +
      `FROM ${from}\n` +
      'COPY --from=a /Dockerfile /b\n' +
      `COPY --from=${from} /etc /c\n`;
    const platforms = '--platform=linux/amd64,linux/arm64';
    const rebuilt = async (from: string, ...flags: string[]) => {
      rig.write('c', { Dockerfile: stages(from) });
      await rig.build('c', ...flags);
      await asked();
      await rig.build('c', ...flags);
      return await asked();
    };
    const head = 'HEAD /v2/team/busybox/manifests/1 200';
    assert.equal(await rebuilt(base, platforms), [head]);
    assert.equal(await rebuilt(base, platforms, '--pull'), [head]);
    assert.equal(await rebuilt(base), [head]);
    const { Digest } = JSON.parse(
      (await run(['skopeo', 'inspect', '--tls-verify=false', `docker://${base}`], { expect: 0 }))
        .stdout,
    );
    const pinned = `${base}@${Digest}`;
    assert.equal(await rebuilt(pinned, platforms), []);
    assert.equal(await rebuilt(pinned, platforms, '--pull'), []);
    await rig.kiln(['pull', '-q', base], { expect: 0 });
    assert.equal(await rebuilt(base), []);
  },
);

test.run();
