import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { dockerCredentials } from './credentials.ts';
import { removeLogin, saveLogin, verifyLogin } from './login.ts';
import { opensslMissing } from './testing/certificates.ts';
import { never, quickClient } from './testing/client.ts';
import { registryMissing, startRegistry, TEST_LOGIN } from './testing/registry.ts';
import { startTokenServer } from './testing/tokens.ts';

const LOGIN = { username: 'me', password: 'a:b' };

async function inDirectory(
  work: (directory: string, path: string) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-login-'));
  try {
    await work(directory, join(directory, 'docker/config.json'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => (error instanceof KilnError ? error.code : String(error)),
  );

test("a login is written in docker's format, readable by its owner only, and found again", () =>
  inDirectory(async (_, path) => {
    const store = { path, env: {} };
    assert.equal(await saveLogin('reg.example.com:5000', LOGIN, store, never()), { clear: true });
    await saveLogin('docker.io', LOGIN, store, never());
    assert.is(
      readFileSync(path, 'utf8'),
      '{\n' +
        '\t"auths": {\n' +
        '\t\t"reg.example.com:5000": {\n' +
        '\t\t\t"auth": "bWU6YTpi"\n' +
        '\t\t},\n' +
        '\t\t"https://index.docker.io/v1/": {\n' +
        '\t\t\t"auth": "bWU6YTpi"\n' +
        '\t\t}\n' +
        '\t}\n' +
        '}',
    );
    assert.is(statSync(path).mode & 0o777, 0o600);
    for (const host of ['reg.example.com:5000', 'docker.io'])
      assert.equal(await dockerCredentials(path, {})(host, never()), { kind: 'basic', ...LOGIN });
    await removeLogin('docker.io', store, never());
    assert.is(await dockerCredentials(path, {})('docker.io', never()), undefined);
    assert.ok(await dockerCredentials(path, {})('reg.example.com:5000', never()));
  }));

test('other content of the file stays, other spellings of the host go, a link stays a link', () =>
  inDirectory(async (directory) => {
    const real = join(directory, 'real.json');
    const path = join(directory, 'config.json');
    const before = {
      HttpHeaders: { a: 'b' },
      auths: { 'https://h/v2/': { auth: 'b2xkOm9sZA==' }, other: { auth: 'eDp5' } },
      x: 1,
    };
    writeFileSync(real, JSON.stringify(before), { mode: 0o644 });
    symlinkSync(real, path);
    await saveLogin('h', LOGIN, { path, env: {} }, never());
    assert.equal(JSON.parse(readFileSync(real, 'utf8')), {
      HttpHeaders: { a: 'b' },
      auths: { other: { auth: 'eDp5' }, h: { auth: 'bWU6YTpi' } },
      x: 1,
    });
    assert.is(statSync(real).mode & 0o777, 0o600);
  }));

test('a damaged file is left unchanged', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'config.json');
    writeFileSync(path, '{');
    assert.is(
      await codeOf(saveLogin('h', LOGIN, { path, env: {} }, never())),
      'KILN_DOCKER_CONFIG_INVALID',
    );
    assert.is(readFileSync(path, 'utf8'), '{');
  }));

test('a file that is a pipe or a device is refused at once', () =>
  inDirectory(async (directory) => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const path of [pipe, '/dev/zero'])
      assert.is(
        await codeOf(saveLogin('h', LOGIN, { path, env: {} }, never())),
        'KILN_DOCKER_CONFIG_INVALID',
      );
  }));

test('a helper stores the login, and the file only says that one exists', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'config.json');
    const kept = join(directory, 'kept');
    const helper = join(directory, 'docker-credential-fake');
    writeFileSync(
      helper,
      `#!/bin/sh\ncase $1 in store) cat > ${kept} ;; erase) rm ${kept} ;; *) cat ${kept} ;; esac\n`,
    );
    chmodSync(helper, 0o755);
    writeFileSync(path, JSON.stringify({ credHelpers: { h: 'fake' } }));
    const store = { path, env: { PATH: `${directory}:/usr/bin:/bin` } };
    assert.equal(await saveLogin('h', LOGIN, store, never()), { clear: false });
    assert.equal(JSON.parse(readFileSync(kept, 'utf8')), {
      ServerURL: 'h',
      Username: 'me',
      Secret: 'a:b',
    });
    assert.equal(JSON.parse(readFileSync(path, 'utf8')), {
      credHelpers: { h: 'fake' },
      auths: { h: {} },
    });
    assert.equal(await dockerCredentials(path, store.env)('h', never()), {
      kind: 'basic',
      ...LOGIN,
    });
    await removeLogin('h', store, never());
    assert.throws(() => statSync(kept), /ENOENT/);
    assert.equal(JSON.parse(readFileSync(path, 'utf8')), { credHelpers: { h: 'fake' }, auths: {} });
  }));

const skip = registryMissing() ?? opensslMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

real(
  'a login is verified against htpasswd; a registry without authentication accepts every login',
  async () => {
    await using registry = await startRegistry({ login: true });
    await using open = await startRegistry();
    const verify = (host: string, password: string) =>
      codeOf(verifyLogin(host, { ...TEST_LOGIN, password }, {}, never()));
    assert.is(await verify(registry.host, TEST_LOGIN.password), undefined);
    assert.is(await verify(registry.host, 'wrong'), 'KILN_REGISTRY_DENIED');
    assert.is(await verify(open.host, 'any'), undefined);
  },
);

real(
  'a token server: login, anonymous pull where allowed, push with the scope of both repositories',
  async () => {
    await using tokens = await startTokenServer(TEST_LOGIN);
    await using registry = await startRegistry({ tokens });
    assert.is(await codeOf(verifyLogin(registry.host, TEST_LOGIN, {}, never())), undefined);
    assert.is(
      await codeOf(verifyLogin(registry.host, { ...TEST_LOGIN, password: 'no' }, {}, never())),
      'KILN_REGISTRY_DENIED',
    );
    const asked = tokens.seen.length;
    await using client = quickClient({
      credentials: async () => ({ kind: 'basic', ...TEST_LOGIN }),
    });
    await using stranger = quickClient();
    const bytes = Buffer.from('some blob');
    const { digestOf } = await import('../base/digest.ts');
    const digest = digestOf(bytes);
    const source = {
      digest,
      size: bytes.length,
      open: async function* () {
        yield bytes;
      },
    };
    const shared = { domain: registry.host, path: 'public/base' };
    const own = { domain: registry.host, path: 'team/app' };
    assert.is(await client.pushBlob(shared, source, { signal: never() }), 'uploaded');
    assert.is(
      await client.pushBlob(own, source, { signal: never(), mountFrom: ['public/base'] }),
      'mounted',
    );
    const descriptor = { mediaType: 'application/octet-stream', digest, size: bytes.length };
    assert.ok((await stranger.readBlob(shared, descriptor, 100, never())).equals(bytes));
    const denied = await codeOf(stranger.readBlob(own, descriptor, 100, never()));
    assert.is(denied, 'KILN_REGISTRY_DENIED');
    const scopes = tokens.seen
      .slice(asked)
      .map(({ path }) => new URL(path, 'http://x').searchParams.getAll('scope').join(' '));
    assert.equal(scopes.slice(0, 3), [
      'repository:public/base:pull,push',
      'repository:team/app:pull,push',
      'repository:public/base:pull repository:team/app:pull,push',
    ]);
  },
);

test.run();
