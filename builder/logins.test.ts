import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { failure } from '../base/testing/failure.ts';
import { type FaultServer, faultServer, type SeenRequest } from '../registry/testing/faults.ts';
import { makeImage, type TestImage } from '../registry/testing/images.ts';
import { build, buildRequest, type Engine, memorySession, openKiln, output } from './library.ts';

const USERS = ['one', 'two'] as const;

/** The images of the repositories `one/app`, `two/app` and `shared/app`. Each has a file. */
const IMAGES = new Map(
  [...USERS, 'shared'].map((name) => [name, makeImage([{ name, text: `of ${name}` }])]),
);

const tokenOf = (user: string) => `Basic ${Buffer.from(`${user}:secret`).toString('base64')}`;

/**
 * Starts a registry in this process. A user can read its own repository and the shared one. No
 * manifest is sent until `count` users have requested something, so that builds overlap.
 */
async function registryOfUsers(count: number): Promise<FaultServer> {
  const asked = new Set<string>();
  const all = Promise.withResolvers<void>();
  return await faultServer(async ({ method, path, headers }, response) => {
    const user = USERS.find((name) => tokenOf(name) === headers.authorization);
    if (user === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
      return;
    }
    const [, owner = '', kind = '', what = ''] = /^\/v2\/(\w+)\/app\/(\w+)\/(.*)$/.exec(path) ?? [];
    const image = owner === user || owner === 'shared' ? IMAGES.get(owner) : undefined;
    if (!image) return void response.writeHead(path === '/v2/' ? 200 : 403).end();
    asked.add(user);
    if (asked.size === count) all.resolve();
    if (kind === 'manifests') await all.promise;
    answer(image, kind, what, method === 'HEAD', response);
  });
}

function answer(
  { target, bytes, blobs }: TestImage,
  kind: string,
  what: string,
  isHead: boolean,
  response: ServerResponse,
): void {
  const isManifest = kind === 'manifests' && (what === '1' || what === target.digest);
  const body = isManifest ? bytes : kind === 'blobs' ? blobs.get(what as never) : undefined;
  if (!body) return void response.writeHead(404).end();
  response.writeHead(200, {
    'content-type': isManifest ? target.mediaType : 'application/octet-stream',
    'content-length': body.length,
    ...(isManifest && { 'docker-content-digest': target.digest }),
  });
  response.end(isHead ? undefined : body);
}

/** Builds with the login of `user`, if any. Returns the names of the files in the result. */
async function built(engine: Engine, user: string | undefined, lines: string): Promise<string[]> {
  const chunks: Uint8Array[] = [];
  using session = memorySession({
    directories: { context: { Dockerfile: lines } },
    ...(user !== undefined && {
      credentials: async () => ({ kind: 'basic', username: user, password: 'secret' }) as const,
    }),
    output: async (bytes) => void chunks.push(Buffer.from(bytes)),
  });
  const request = buildRequest({ outputs: [output('type=tar,dest=-')] });
  await build(engine, request, session, () => {}, new AbortController().signal);
  const list = execFileSync('tar', ['-t'], { input: Buffer.concat(chunks) }).toString();
  return list.split('\n').filter(Boolean).sort();
}

async function withEngine(work: (engine: Engine) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-logins-'));
  try {
    await using engine = openKiln({ root: join(directory, 'store') });
    await work(engine);
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

const usersOf = (seen: readonly SeenRequest[], owner: string) => [
  ...new Set(
    seen
      .filter(({ path }) => path.startsWith(`/v2/${owner}/`))
      .flatMap(({ headers }) => USERS.filter((user) => tokenOf(user) === headers.authorization)),
  ),
];

test('two builds at once in one engine use their own logins for the registry', async () => {
  await using registry = await registryOfUsers(2);
  await withEngine(async (engine) => {
    const lines = (user: string) =>
      `FROM ${registry.host}/${user}/app:1\nCOPY --from=${registry.host}/shared/app:1 /shared /\n`;
    const results = await Promise.all(USERS.map((user) => built(engine, user, lines(user))));
    assert.equal(results, [
      ['one', 'shared'],
      ['shared', 'two'],
    ]);
  });
  assert.equal(usersOf(registry.seen, 'one'), ['one']);
  assert.equal(usersOf(registry.seen, 'two'), ['two']);
  assert.equal(usersOf(registry.seen, 'shared').sort(), ['one', 'two']);
});

test('a private image that is in the store is refused to a build without its login', async () => {
  await using registry = await registryOfUsers(1);
  await withEngine(async (engine) => {
    const lines = `FROM ${registry.host}/one/app:1\n`;
    assert.equal(await built(engine, 'one', lines), ['one']);
    for (const user of ['two', undefined])
      assert.match((await failure(built(engine, user, lines))).code, /^KILN_REGISTRY_/);
    assert.equal(await built(engine, 'one', lines), ['one']);
  });
});

test.run();
