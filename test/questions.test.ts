/*
 * What a build asks a registry, and when: a real registry writes down each request. These requests
 * are what a build with everything cached waits for.
 */
import { existsSync, globSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { opensslMissing } from '../registry/testing/certificates.ts';
import { faultServer } from '../registry/testing/faults.ts';
import { holdingProxy } from '../registry/testing/holding.ts';
import { makeImage } from '../registry/testing/images.ts';
import { publish } from '../registry/testing/publish.ts';
import {
  registryMissing,
  startRegistry,
  TEST_LOGIN,
  type TestRegistry,
} from '../registry/testing/registry.ts';
import { startTokenServer } from '../registry/testing/tokens.ts';
import { Rig, steps } from './rig.ts';

const OLD = makeImage([{ name: 'a', text: 'old' }]);
const NEW = makeImage([{ name: 'a', text: 'new' }]);
const HEAD = 'HEAD /v2/base/manifests/1 200';

interface Asked {
  readonly registry: TestRegistry;
  readonly rig: Rig;
  readonly name: string;
  /** Builds, and returns the requests that this took. */
  readonly asked: (...args: string[]) => Promise<string[]>;
  /** Moves the tag to another image. */
  readonly move: () => Promise<unknown>;
  /** Builds, and returns the digest of the base in the names of the steps. */
  readonly base: (...args: string[]) => Promise<string | undefined>;
}

const skip = registryMissing();
function asking(name: string, body: (asked: Asked) => Promise<void>): void {
  if (skip) return void console.log(`SKIP ${name}: ${skip}`);
  test(name, async () => {
    await using registry = await startRegistry();
    await using rig = await Rig.create();
    const image = await publish(registry.host, 'base', '1', [OLD]);
    rig.write('c', { Dockerfile: `FROM ${image}\nWORKDIR /made\n` });
    let seen = (await registry.requests()).length;
    const fresh = async () => {
      const all = await registry.requests();
      const own = all.slice(seen);
      seen = all.length;
      return own;
    };
    await body({
      registry,
      rig,
      name: image,
      async asked(...args) {
        await fresh();
        await rig.build('c', ...args);
        return await fresh();
      },
      move: () => publish(registry.host, 'base', '1', [NEW]),
      async base(...args) {
        return /@(sha256:[0-9a-f]{64})/.exec(await rig.build('c', ...args))?.[1];
      },
    });
  });
}

asking(
  'a cached build sends one HEAD for a tag, whatever uses it',
  async ({ rig, name, asked }) => {
    await asked();
    assert.equal(await asked(), [HEAD]);
    rig.write('c', {
      Dockerfile: `FROM ${name} AS a\nFROM ${name}\nWORKDIR /made\nCOPY --from=${name} /a /b\n`,
    });
    await asked();
    assert.equal(await asked(), [HEAD]);
  },
);

asking('--pull=missing asks for a tag that the store does not know', async (world) => {
  const { asked, base, move } = world;
  assert.ok((await asked('--pull=missing')).length > 0);
  assert.equal(await asked('--pull=missing'), []);
  await move();
  assert.is(await base('--pull=missing'), OLD.target.digest);
  assert.is(await base(), NEW.target.digest, 'without the flag the registry is asked');
  assert.is(await base('--pull=missing'), NEW.target.digest, 'what it said last counts');
});

asking('--pull=never sends no request', async ({ rig, asked, name }) => {
  const failed = await rig.kiln(['build', '--pull=never', 'c'], { expect: 1 });
  assert.match(failed.stderr, /base:1 is not in the store, and registries are not asked with/);
  assert.match(failed.stderr, /Dockerfile:1/);
  assert.match(failed.stderr, /KILN_IMAGE_NOT_FOUND/);
  await asked();
  assert.equal(await asked('--pull=never'), []);
  rig.write('c', { Dockerfile: `FROM ${name}\nWORKDIR /other\n` });
  assert.equal(await asked('--pull=never'), [], 'its layers are in the store');
});

asking('max-age spares the question until the answer is too old', async (world) => {
  const { rig, asked, base, move, registry } = world;
  const age = (ms: number) => {
    for (const file of globSync(`${rig.store}/tags/*`)) {
      const then = statSync(file).mtimeMs / 1000 - ms / 1000;
      utimesSync(file, then, then);
    }
  };
  rig.write('.', { 'kiln.toml': '[registry]\n  max-age = "10m"\n' });
  process.env['KILN_CONFIG'] = rig.path('kiln.toml');
  try {
    await asked();
    assert.equal(await asked(), []);
    age(9 * 60_000);
    assert.equal(await asked(), []);
    age(2 * 60_000);
    assert.equal(await asked(), [HEAD]);
    assert.equal(await asked(), [], 'the time of the last answer counts');
    await move();
    assert.is(await base(), OLD.target.digest);
    assert.is(await base('--pull'), NEW.target.digest, '--pull asks all the same');
    age(-60_000 * 60);
    assert.equal(await asked(), [HEAD], 'an answer of the future is no answer');
    rig.write('.', { 'kiln.toml': `[registry."${registry.host}"]\n  max-age = 600\n` });
    assert.equal(await asked(), []);
    rig.write('.', {
      'kiln.toml': `[registry]\nmax-age = "1h"\n[registry."${registry.host}"]\n  max-age = 0\n`,
    });
    assert.equal(await asked(), [HEAD], 'what is said of the host counts');
  } finally {
    delete process.env['KILN_CONFIG'];
  }
});

asking(
  'a build goes on while its registry is asked, and begins again when a tag has moved',
  async (world) => {
    const { registry, rig, asked, base, move } = world;
    await using slow = await holdingProxy(registry.host, () => false);
    const stage = (text: string) =>
      rig.write('c', {
        Dockerfile: `FROM ${slow.host}/base:1\nCOPY made.txt /\nWORKDIR /${text}\n`,
        'made.txt': 'made',
      });
    stage('one');
    assert.is(await base(), OLD.target.digest);
    assert.equal(await asked(), [HEAD]);
    const plain = await rig.build('c');
    const shown = steps(plain);
    assert.equal([...shown.values()], ['CACHED', 'CACHED', 'CACHED']);
    await move();
    const moved = await rig.build('c');
    assert.match(moved, NEW.target.digest);
    assert.not.match(moved, OLD.target.digest, 'nothing of the old base is shown');
    assert.equal([...steps(moved).values()].slice(1), ['DONE', 'DONE']);
    for (const once of ['load metadata for', 'load build definition'])
      assert.is(moved.split(once).length - 1, 1, `${once} is shown once`);
    stage('two');
    const both = await rig.build('c');
    assert.equal([...steps(both).values()].slice(1), ['CACHED', 'DONE']);
  },
);

asking('no step runs before the registry has said that the base is the same', async (world) => {
  const { registry, rig } = world;
  let holds = false;
  await using held = await holdingProxy(registry.host, () => holds);
  const dockerfile = (text: string) =>
    rig.write('c', { Dockerfile: `FROM ${held.host}/base:1\nWORKDIR /${text}\n` });
  dockerfile('one');
  await rig.build('c', '-t', 'app');
  const before = (await rig.kiln(['image', 'inspect', 'app'], { expect: 0 })).stdout;
  holds = true;
  dockerfile('two');
  const stopped = await rig.kiln(['build', '--progress=plain', '-t', 'app', 'c'], {
    watch: (output, kill) => {
      if (output.includes('load metadata')) kill('SIGINT');
    },
  });
  assert.is(stopped.code, 130);
  assert.not.match(stopped.stderr, /WORKDIR/);
  holds = false;
  assert.is((await rig.kiln(['image', 'inspect', 'app'], { expect: 0 })).stdout, before);
  const after = steps(await rig.build('c', '-t', 'app'));
  assert.is([...after.values()].at(-1), 'DONE', 'it had not run');
});

asking('an image that is gone is told at its line, and asked about once', async (world) => {
  const { registry, rig, asked } = world;
  let gone = false;
  let questions = 0;
  await using server = await faultServer(async ({ method, path, headers }, response) => {
    if (method === 'HEAD') questions++;
    if (gone) return void response.writeHead(404).end();
    const accept = headers.accept ?? '*/*';
    const answer = await fetch(`http://${registry.host}${path}`, { method, headers: { accept } });
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  rig.write('c', { Dockerfile: `# the base\nFROM ${server.host}/base:1\nWORKDIR /made\n` });
  await asked();
  gone = true;
  questions = 0;
  // A build that is recalled asks once itself, and the build after it once more.
  const failed = await rig.kiln(['build', '--progress=plain', 'c'], {
    env: { KILN_MEMO: 'off' },
    expect: 1,
  });
  assert.match(failed.stderr, /Dockerfile:2/);
  assert.match(failed.stderr, /KILN_IMAGE_NOT_FOUND/);
  assert.is(questions, 1);
});

asking('a Dockerfile from a pipe is read once, whatever the registry says', async (world) => {
  const { rig, name, move } = world;
  const build = () =>
    rig.kiln(['build', '--progress=plain', '-'], {
      stdin: `FROM ${name}\nWORKDIR /made\n`,
      expect: 0,
    });
  await build();
  await move();
  assert.match((await build()).stderr, NEW.target.digest);
});

const noTokens = skip ?? opensslMissing();
if (noTokens) console.log(`SKIP a token without a login is asked for once: ${noTokens}`);
else
  test('a token without a login is asked for once, and serves the builds of its life', async () => {
    await using tokens = await startTokenServer(TEST_LOGIN);
    await using registry = await startRegistry({ tokens });
    await using rig = await Rig.create();
    const auth = Buffer.from(Object.values(TEST_LOGIN).join(':')).toString('base64');
    rig.write('baker', {
      'config.json': JSON.stringify({ auths: { [registry.host]: { auth } } }),
    });
    rig.write('nobody', { 'config.json': '{}' });
    const as = (who: string) => ({ DOCKER_CONFIG: rig.path(who), KILN_ROOT: rig.store });
    rig.write('push', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /a\n' });
    const name = `${registry.host}/public/base:1`;
    await rig.kiln(['build', '--push', '-t', name, 'push'], { env: as('baker'), expect: 0 });
    assert.not.ok(existsSync(join(rig.store, 'challenges')), 'nothing of a login is kept');
    rig.write('c', { Dockerfile: `FROM ${name}\nWORKDIR /made\n` });
    let seen = (await registry.requests()).length;
    const build = async (who: string) => {
      const before = tokens.seen.length;
      await rig.kiln(['build', 'c'], { env: as(who), expect: 0 });
      const all = await registry.requests();
      const own = all.slice(seen);
      seen = all.length;
      return [own, tokens.seen.length - before] as const;
    };
    const head = (status: number) => `HEAD /v2/public/base/manifests/1 ${status}`;
    await build('nobody');
    assert.equal(await build('nobody'), [[head(200)], 0]);
    assert.equal(await build('baker'), [[head(401), head(200)], 1]);
    assert.equal(await build('nobody'), [[head(200)], 0]);
  });

test.run();
