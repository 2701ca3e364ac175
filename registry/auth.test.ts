import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { MEDIA } from '../base/oci.ts';
import { parseChallenges } from './challenge.ts';
import { type ChallengeMemory, openChallengeMemory } from './challenge-memory.ts';
import { type CredentialSource, dockerCredentials } from './credentials.ts';
import { never, quickClient } from './testing/client.ts';
import { type Answer, type FaultServer, faultServer } from './testing/faults.ts';
import { makeImage } from './testing/images.ts';

const IMAGE = makeImage([{ name: 'a', text: 'a' }]);
const basicOf = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
const login: CredentialSource = async () => ({ kind: 'basic', username: 'u', password: 'p' });

test('challenges: several, quoted commas, no parameters', () => {
  const found = parseChallenges(
    'Negotiate, Bearer realm="https://a/t?x=1,2",service="s", ' +
      'scope="repository:a/b:pull,push" , basic realm=plain',
  );
  assert.equal(
    found.map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]),
    [
      ['negotiate', {}],
      ['bearer', { realm: 'https://a/t?x=1,2', service: 's', scope: 'repository:a/b:pull,push' }],
      ['basic', { realm: 'plain' }],
    ],
  );
  assert.equal(parseChallenges('"'), []);
});

/**
 * Starts a registry that wants bearer tokens, and a second server that issues numbered tokens at
 * `/token`.
 */
async function tokenWorld(lifetime: number, accepts: (token: string) => boolean = () => true) {
  let count = 0;
  const tokens = await faultServer(
    (_, response) =>
      void response.end(JSON.stringify({ token: `t${++count}`, expires_in: lifetime })),
  );
  const registry = await faultServer((request, response) => {
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    if (!token || !accepts(token)) {
      const challenge =
        `Bearer realm="http://${tokens.host}/token",service="reg",` +
        'scope="repository:team/app:pull"';
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    } else {
      response.writeHead(200, { 'content-type': MEDIA.ociManifest }).end(IMAGE.bytes);
    }
  });
  const dispose = async () => {
    await tokens[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  };
  return {
    tokens,
    registry,
    repository: { domain: registry.host, path: 'team/app' },
    [Symbol.asyncDispose]: dispose,
  };
}

test('a token is asked for once, with scope and login, and used until it expires', async () => {
  await using world = await tokenWorld(300);
  await using client = quickClient({ credentials: login });
  for (let round = 0; round < 3; round++)
    await client.manifest(world.repository, 'latest', never());
  assert.is(world.tokens.seen.length, 1);
  const [asked] = world.tokens.seen;
  assert.is(asked?.path, '/token?service=reg&scope=repository%3Ateam%2Fapp%3Apull&account=u');
  assert.is(asked?.headers.authorization, basicOf('u', 'p'));
  assert.is(world.registry.seen.length, 4);
  assert.ok(
    world.registry.seen.every((request) => !request.headers.authorization?.startsWith('Basic')),
    'the login itself never goes to the registry',
  );
});

/** A memory of challenges in a directory of its own, as each process opens it. */
async function remembering(
  body: (memory: () => ChallengeMemory, files: () => string[]) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-challenges-'));
  try {
    await body(
      () => openChallengeMemory(directory),
      () => readdirSync(directory).map((name) => join(directory, name)),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('a token that was got without a login serves the next process, too', () =>
  remembering(async (memory, files) => {
    await using world = await tokenWorld(300);
    const ask = async (credentials?: CredentialSource) => {
      const before = [world.registry.seen.length, world.tokens.seen.length] as const;
      await using client = quickClient({
        challenges: memory(),
        ...(credentials && { credentials }),
      });
      await client.manifest(world.repository, 'latest', never());
      return [world.registry.seen.length - before[0], world.tokens.seen.length - before[1]];
    };
    assert.equal(await ask(), [2, 1]);
    assert.equal(await ask(), [1, 0]);
    for (const file of files()) assert.is(statSync(file).mode & 0o777, 0o600);
    assert.equal(await ask(login), [2, 1], 'somebody with a login asks for a token of his own');
    assert.equal(await ask(), [1, 0]);
    assert.is(world.registry.seen.at(-1)?.headers.authorization, 'Bearer t1');
    const [file] = files();
    const kept = JSON.parse(readFileSync(file!, 'utf8'));
    writeFileSync(file!, JSON.stringify({ ...kept, until: Date.now() - 1 }));
    assert.equal(await ask(), [1, 1], 'the token server is asked without another 401');
    writeFileSync(file!, JSON.stringify({ ...kept, until: Date.now() + 10 ** 12 }));
    assert.equal(await ask(), [1, 1], 'no token is good for so long');
    writeFileSync(file!, JSON.stringify({ ...kept, token: 'x\r\nEvil: 1' }));
    assert.equal(await ask(), [1, 1], 'a damaged token is not sent');
    writeFileSync(file!, JSON.stringify({ ...kept, parameters: 7 }));
    assert.equal(await ask(), [2, 1], 'a damaged file is no memory');
    const yesterday = Date.now() / 1000 - 90_000;
    utimesSync(file!, yesterday, yesterday);
    assert.equal(await ask(), [2, 1], 'what a registry wanted is believed for a day');
  }));

test('a token or token server that is no longer right costs one more request', () =>
  remembering(async (memory) => {
    let accepted = /./;
    await using world = await tokenWorld(300, (token) => accepted.test(token));
    await using other = await faultServer((_, response) => void response.writeHead(500).end());
    const ask = async () => {
      await using client = quickClient({ challenges: memory() });
      await client.manifest(world.repository, 'latest', never());
      return [world.registry.seen.length, world.tokens.seen.length];
    };
    assert.equal(await ask(), [2, 1]);
    accepted = /t[^1]/;
    assert.equal(await ask(), [4, 2], '401, a new token, and the answer');
    assert.equal(await ask(), [5, 2]);
    const key = JSON.stringify([
      `http://${world.registry.host}`,
      world.registry.host,
      ['repository:team/app:pull'],
    ]);
    const parameters = new Map([['realm', `http://${other.host}/token`]]);
    assert.ok(memory().get(key), 'the test knows the key');
    memory().put(key, { scheme: 'bearer', parameters });
    assert.equal(await ask(), [7, 3], 'the registry says where its tokens are now');
    assert.ok(other.seen.length > 0);
  }));

test('a token that a login got is kept in memory alone', () =>
  remembering(async (memory, files) => {
    await using world = await tokenWorld(300);
    await using client = quickClient({ challenges: memory(), credentials: login });
    await client.manifest(world.repository, 'latest', never());
    assert.equal(files(), []);
  }));

test('a token with too short a lifetime is not kept', async () => {
  await using world = await tokenWorld(5);
  await using client = quickClient();
  await client.manifest(world.repository, 'latest', never());
  await client.manifest(world.repository, 'latest', never());
  assert.is(world.tokens.seen.length, 2);
});

test('a token that the registry no longer accepts is replaced', async () => {
  let revoked = '';
  await using world = await tokenWorld(300, (token) => token !== revoked);
  await using client = quickClient();
  await client.manifest(world.repository, 'latest', never());
  revoked = 't1';
  await client.manifest(world.repository, 'latest', never());
  assert.is(world.registry.seen.at(-1)?.headers.authorization, 'Bearer t2');
});

test('a registry that accepts no token denies access, and is not asked forever', async () => {
  await using world = await tokenWorld(300, () => false);
  await using client = quickClient({ credentials: login });
  try {
    await client.manifest(world.repository, 'latest', never());
    assert.unreachable();
  } catch (error) {
    assert.is((error as KilnError).code, 'KILN_REGISTRY_DENIED');
  }
  assert.ok(world.registry.seen.length <= 4);
});

test('requests at the same time share one token request', async () => {
  await using world = await tokenWorld(300);
  await using client = quickClient();
  await client.manifest(world.repository, 'latest', never());
  const before = world.tokens.seen.length;
  await Promise.all(
    ['a', 'b', 'c'].map((tag) =>
      client.hasBlob(world.repository, IMAGE.target.digest, never()).then(() => tag),
    ),
  );
  assert.is(world.tokens.seen.length, before + 1, 'one more, for pull,push');
});

test('an identity token is exchanged by POST', async () => {
  await using world = await tokenWorld(300);
  await using client = quickClient({
    credentials: async () => ({ kind: 'identity', token: 'refresh-me' }),
  });
  await client.manifest(world.repository, 'latest', never());
  const [asked] = world.tokens.seen;
  assert.is(asked?.method, 'POST');
  const form = new URLSearchParams(asked?.body.toString());
  assert.is(form.get('refresh_token'), 'refresh-me');
  assert.is(form.get('scope'), 'repository:team/app:pull');
});

test('wrong basic credentials are denied after one try', async () => {
  const answer: Answer = (_, response) =>
    void response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
  await using server: FaultServer = await faultServer(answer);
  await using client = quickClient({ credentials: login });
  try {
    await client.manifest({ domain: server.host, path: 'a' }, 'latest', never());
    assert.unreachable();
  } catch (error) {
    assert.ok(error instanceof KilnError && error.code === 'KILN_REGISTRY_DENIED');
  }
  assert.is(server.seen.length, 2);
});

test('without a login a registry that wants one is asked once', async () => {
  await using server = await faultServer(
    (_, response) => void response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end(),
  );
  await using client = quickClient();
  const error = await client
    .manifest({ domain: server.host, path: 'a' }, 'latest', never())
    .catch((caught: unknown) => caught);
  assert.ok(error instanceof KilnError && error.code === 'KILN_REGISTRY_UNAUTHORIZED');
  assert.match((error as KilnError).hint ?? '', 'kiln login');
  assert.is(server.seen.length, 1);
});

function inDirectory(work: (directory: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kiln-auth-'));
    try {
      await work(directory);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
}

test(
  'docker config.json: logins hold for the exact host only',
  inDirectory(async (directory) => {
    const path = join(directory, 'config.json');
    const auth = Buffer.from('user:pass:word').toString('base64');
    writeFileSync(
      path,
      JSON.stringify({
        auths: {
          'https://index.docker.io/v1/': { auth },
          'reg.example.com:5000': { identitytoken: 'idt' },
          'https://plain.example.com/v2/': { username: 'x', password: 'y' },
        },
      }),
    );
    const find = dockerCredentials(path, {});
    assert.equal(await find('docker.io', never()), {
      kind: 'basic',
      username: 'user',
      password: 'pass:word',
    });
    assert.equal(await find('reg.example.com:5000', never()), { kind: 'identity', token: 'idt' });
    assert.equal(await find('plain.example.com', never()), {
      kind: 'basic',
      username: 'x',
      password: 'y',
    });
    for (const host of [
      'reg.example.com',
      'example.com',
      'evil-docker.io',
      'docker.io.evil.com',
      'a.plain.example.com',
    ]) {
      assert.is(await find(host, never()), undefined, host);
    }
  }),
);

test(
  'credential helpers are asked for their hosts; without a login access is anonymous, a ' +
    'missing helper is named',
  inDirectory(async (directory) => {
    const helper = join(directory, 'docker-credential-fake');
    writeFileSync(
      helper,
      '#!/bin/sh\n' +
        'read -r host\n' +
        'case "$host" in\n' +
        '  known.example.com) echo \'{"ServerURL":"x","Username":"<token>",' +
        '"Secret":"s3"}\' ;;\n' +
        '  https://index.docker.io/v1/) echo \'{"Username":"hub","Secret":"p"}\' ;;\n' +
        '  *) echo "credentials not found in native keychain"; exit 1 ;;\n' +
        'esac\n',
    );
    chmodSync(helper, 0o755);
    const path = join(directory, 'config.json');
    writeFileSync(
      path,
      JSON.stringify({
        credsStore: 'fake',
        credHelpers: { 'gone.example.com': 'gone', 'bad.example.com': '../evil' },
      }),
    );
    const find = dockerCredentials(path, { PATH: `${directory}:/usr/bin:/bin` });
    assert.equal(await find('known.example.com', never()), { kind: 'identity', token: 's3' });
    assert.equal(await find('docker.io', never()), {
      kind: 'basic',
      username: 'hub',
      password: 'p',
    });
    // Docker's registries of hardened images and of Scout take the login of Docker Hub.
    for (const host of ['dhi.io', 'registry.scout.docker.com'])
      assert.equal(await find(host, never()), await find('docker.io', never()));
    assert.is(await find('other.example.com', never()), undefined);
    for (const host of ['gone.example.com', 'bad.example.com']) {
      const error = await find(host, never()).catch((caught: unknown) => caught);
      assert.ok(error instanceof KilnError && error.code === 'KILN_CREDENTIAL_HELPER', host);
    }
  }),
);

test(
  'without a config file access is anonymous, a broken config file is an error',
  inDirectory(async (directory) => {
    assert.is(await dockerCredentials(join(directory, 'none.json'), {})('a', never()), undefined);
    const path = join(directory, 'config.json');
    writeFileSync(path, '{');
    assert.throws(
      () => dockerCredentials(path, {})('a', never()),
      (error: unknown) => error instanceof KilnError && error.code === 'KILN_DOCKER_CONFIG_INVALID',
    );
  }),
);

test.run();
