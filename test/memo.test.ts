/*
 * A build that found everything made is recalled by the next call with the same words (decision
 * 062). Whatever happens between them, both show the same and leave the same.
 */
import { existsSync, globSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { opensslMissing, selfSigned } from '../registry/testing/certificates.ts';
import { registryMissing, startRegistry, TEST_LOGIN } from '../registry/testing/registry.ts';
import { startTokenServer } from '../registry/testing/tokens.ts';
import { byAge, CHANGES, Twins } from './memo-twins.ts';
import { Rig } from './rig.ts';

const skip = registryMissing();
function twin(name: string, body: (twins: Twins) => Promise<void>): void {
  if (skip) return void console.log(`SKIP ${name}: ${skip}`);
  test(name, async () => {
    await using registry = await startRegistry();
    await using twins = await Twins.create(registry.host);
    await body(twins);
  });
}

twin('a build shows and makes the same whether or not it is recalled', async (twins) => {
  await twins.settle();
  for (const { name, make, isNone } of CHANGES) {
    try {
      await make(twins);
      const isRecalled = await twins.build();
      if (isNone) assert.ok(isRecalled, 'nothing on which the build relied has changed');
      // What the change left is recalled later, too.
      await twins.settle();
    } catch (error) {
      throw new Error(`${name}: ${inspect(error)}`, {
        cause: error,
      });
    }
  }
});

twin('a registry that does not answer is asked by the build itself', async (twins) => {
  await twins.settle();
  twins.rig.write('c', { Dockerfile: 'FROM 127.0.0.1:9/gone:1\n' });
  const gone = await twins.both(['build', '--progress=plain', 'c']);
  assert.is.not(gone.code, 0);
  twins.rig.write('c', { Dockerfile: twins.dockerfile() });
  await twins.settle();
});

twin('the log of a recalled build is that of a build', async (twins) => {
  await twins.settle();
  await assertSameLog(twins);
  const list = await twins.kiln(['logs', '--list'], {}, { expect: 0 });
  assert.not.match(list.stdout, /fail|cancel|running/i);
});

/** Compares the log of the last build, which was recalled, with that of one that is not. */
async function assertSameLog(twins: Twins): Promise<void> {
  const lines = () => {
    const log = twins.log().replace(/\b1[67]\d{11}\b/g, 'TIME');
    // The steps that read the context are named anew by each build.
    const vertices = log.matchAll(
      /"vertex":"(sha256:[0-9a-f]{64})","name":"((?:\[|exporting to)[^"]*)"/g,
    );
    const names = new Map([...vertices].map(([, digest = '', name = '']) => [digest, name]));
    const named = log.replace(/sha256:[0-9a-f]{64}/g, (digest) => names.get(digest) ?? digest);
    const [first = '', ...rest] = named.split('\n');
    // Steps that end at the same time have no order.
    return { first, rest: rest.sort() };
  };
  const recalled = lines();
  await twins.kiln(['build', '--progress=plain', '-t', twins.name, 'c'], { KILN_MEMO: 'off' });
  const built = lines();
  assert.equal(recalled.rest, built.rest);
  const named = ({ first }: { first: string }) =>
    first.replace(/"(build|owner)":"[^"]*",/g, '').replace(',"recalled":true', '');
  assert.is(named(recalled), named(built));
}

twin('the build after one that has made something is recalled', async (twins) => {
  await twins.settle();
  const isRecalled = async (count: number) => {
    writeFileSync(twins.path('src/a'), `${count}\n`);
    // A file that has changed in the last tenth of a second is not relied on.
    await new Promise((done) => setTimeout(done, 150));
    assert.not(await twins.build(), 'a file has changed');
    return await twins.build();
  };
  // What else runs on the machine may take the tick of the kernel's clock that is waited for.
  for (let count = 0; !(await isRecalled(count)); count++) assert.ok(count < 20);
  await assertSameLog(twins);
  await twins.each(['prune', '-a', '-f']);
  assert.not(await twins.build(), 'nothing is left');
});

const noTokens = skip ?? opensslMissing();
if (noTokens) console.log(`SKIP the questions of recalled builds by TLS: ${noTokens}`);
else
  test('registries are asked with the token that anybody gets, and by TLS', async () => {
    await using rig = await Rig.create();
    const tls = selfSigned(rig.directory, 'registry');
    await using tokens = await startTokenServer(TEST_LOGIN);
    await using open = await startRegistry({ tls });
    await using guarded = await startRegistry({ tokens });
    const auth = Buffer.from(Object.values(TEST_LOGIN).join(':')).toString('base64');
    rig.write('baker', { 'config.json': JSON.stringify({ auths: { [guarded.host]: { auth } } }) });
    rig.write('nobody', { 'config.json': '{}' });
    const as = (who: string) => ({
      DOCKER_CONFIG: rig.path(who),
      NODE_EXTRA_CA_CERTS: tls.certificate,
    });
    const push = async (what: string) => {
      rig.write('push', { Dockerfile: 'FROM scratch\nCOPY what /a\n', what });
      for (const { host } of [open, guarded])
        await rig.kiln(['build', '-q', '--push', '-t', `${host}/public/base:1`, 'push'], {
          env: as('baker'),
          expect: 0,
        });
    };
    await push('one');
    const build = async (host: string, who = 'nobody') => {
      const dockerfile = `FROM ${host}/public/base:1\nWORKDIR /made\n`;
      if (!existsSync(rig.path(host, 'Dockerfile'))) rig.write(host, { Dockerfile: dockerfile });
      const ran = await rig.kiln(['build', '-q', host], { env: as(who), expect: 0 });
      const log = globSync(`${rig.store}/logs/*.jsonl`).sort(byAge).at(-1)!;
      const isRecalled = readFileSync(log, 'utf8').split('\n')[0]!.includes('"recalled":');
      return { id: ran.stdout, isRecalled };
    };
    for (const { host } of [open, guarded]) {
      const { id } = await build(host);
      for (let count = 0; !(await build(host)).isRecalled; count++) {
        assert.ok(count < 20, `a build from ${host} is recalled`);
        await new Promise((done) => setTimeout(done, 150));
      }
      for (let count = 0; count < 8; count++) {
        const login = await build(host, 'baker');
        if (host === guarded.host) assert.not.ok(login.isRecalled, 'with a login');
        assert.is(login.id, id);
      }
      assert.ok((await build(host)).isRecalled);
    }
    const before = await build(guarded.host);
    for (const path of globSync(`${rig.store}/challenges/*`))
      writeFileSync(path, readFileSync(path, 'utf8').replace(/"until":\d+/, '"until":1'));
    const expired = await build(guarded.host);
    assert.equal(expired, { id: before.id, isRecalled: false }, 'its token has expired');
    await push('two');
    for (const { host } of [open, guarded])
      assert.is.not((await build(host)).id, before.id, 'the tag has moved');
  });

test('what --no-cache has made anew is used from then on', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN cat /proc/sys/kernel/random/uuid >/id\n' });
  const build = async (...args: string[]) =>
    (await rig.kiln(['build', '-q', '-t', 'x', ...args, 'c'], { expect: 0 })).stdout;
  const first = await build();
  for (let count = 0; count < 4; count++) {
    assert.is(await build(), first);
    await new Promise((done) => setTimeout(done, 150));
  }
  const second = await build('--no-cache');
  assert.is.not(second, first);
  assert.is(await build(), second);
});

test('memos are few, and without what stands in variables', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  const directory = join(rig.store, 'memos');
  const secret = 'a-token-of-somebody';
  const build = (count: number) =>
    rig.kiln(['build', '-q', 'c'], { expect: 0, env: { TOKEN: `${secret}${count}` } });
  for (let count = 0; count < 3; count++) {
    await build(0);
    await new Promise((done) => setTimeout(done, 150));
  }
  for (let count = 0; count < 40; count++) await build(count);
  const names = readdirSync(directory);
  assert.ok(names.length > 20 && names.length <= 32, `${names.length}`);
  for (const name of names)
    assert.not.ok(readFileSync(join(directory, name), 'latin1').includes(secret));
  // Something else in their place is no error.
  await rig.kiln(['prune', '-a', '-f'], { expect: 0 });
  rmSync(directory, { recursive: true });
  writeFileSync(directory, '');
  await build(0);
});

test.run();
