import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createContentHasher } from '../cache/contenthash/hasher.ts';
import { localWorker } from '../solver/local-worker.ts';
import { perSession } from '../solver/step-session.ts';
import { testHost } from '../solver/testing/host.ts';
import { loopbackWorker } from '../solver/testing/loopback-worker.ts';
import {
  type BuildRequest,
  build,
  buildRequest,
  type Engine,
  memorySession,
  openKiln,
  output,
} from './library.ts';

/**
 * An engine whose steps run on another host, which has a store of its own and exchanges nothing but
 * bytes with the engine. Only that host knows the command `here`.
 */
async function farEngine(): Promise<{ readonly engine: Engine } & AsyncDisposable> {
  await using scope = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), 'kiln-far-'));
  scope.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const far = scope.use(await testHost({ here: (_words, { print }) => print('far away\n') }));
  const engine = scope.use(
    openKiln({
      root: join(directory, 'store'),
      stepWorker(services) {
        const hasher = perSession(() => createContentHasher({ directory: undefined }));
        const world = { snapshotter: services.snapshotter, hasher };
        return loopbackWorker({ ...services, world }, far, localWorker(far.world, LIMITS));
      },
    }),
  );
  const held = scope.move();
  return { engine, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

const LIMITS = { process: 2, network: 4, cpu: 2 };

/** Builds a Dockerfile, and returns its log and the files of the result with their contents. */
async function built(engine: Engine, dockerfile: string, more: Partial<BuildRequest> = {}) {
  const chunks: Uint8Array[] = [];
  const log: Uint8Array[] = [];
  const cached: string[] = [];
  using session = memorySession({
    directories: { context: { Dockerfile: dockerfile, file: 'from the context' } },
    secrets: { token: 'a secret' },
    output: async (bytes) => void chunks.push(Buffer.from(bytes)),
  });
  const request = buildRequest({ outputs: [output('type=tar,dest=-')], ...more });
  await build(
    engine,
    request,
    session,
    (event) => {
      if (event.kind === 'log') log.push(event.data);
      if (event.kind === 'vertex' && event.cached) cached.push(event.name);
    },
    new AbortController().signal,
  );
  const tar = Buffer.concat(chunks);
  const read = (path: string) => execFileSync('tar', ['-xO', path], { input: tar }).toString();
  return { read, log: Buffer.concat(log).toString(), cached };
}

const DOCKERFILE = `FROM scratch
COPY file /file
RUN --mount=type=secret,id=token,env=TOKEN \\
  ["here", "variable TOKEN /token", "append /file , read"]
RUN ["write /last x"]
`;

test('an engine that is given a worker runs its steps there', async () => {
  await using at = await farEngine();
  const { read, log } = await built(at.engine, DOCKERFILE);
  assert.is(log, 'far away\n');
  assert.equal(
    [read('file'), read('token'), read('last')],
    ['from the context, read', 'a secret', 'x'],
  );
  const again = await built(at.engine, DOCKERFILE);
  assert.is(again.log, '');
  assert.ok(again.cached.some((name) => name.includes('write /last')));
});

test('--squash is a step of that worker, too', async () => {
  await using at = await farEngine();
  const { read, cached } = await built(at.engine, DOCKERFILE, { squash: true });
  assert.is(read('file'), 'from the context, read');
  assert.not(cached.includes('squashing layers'));
  assert.ok(
    (await built(at.engine, DOCKERFILE, { squash: true })).cached.includes('squashing layers'),
  );
});

test.run();
