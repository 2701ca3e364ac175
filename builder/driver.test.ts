import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hostPlatform } from '../registry/platforms.ts';
import { localSource } from '../solver/llb/builder.ts';
import { seal } from '../solver/llb/draft.ts';
import type { BuildDriver } from './bridge.ts';
import { build, buildRequest, memorySession, openKiln, output } from './library.ts';
import { askFrontend } from './opened-frontend.ts';
import type { BuildRequest } from './request.ts';

const TAR = buildRequest({ outputs: [output('type=tar,dest=-')] });

/** Builds, and returns the names in the tar of the result. */
async function listed(
  directories: Readonly<Record<string, Readonly<Record<string, string>>>>,
  request: BuildRequest,
  driver?: BuildDriver,
): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-driver-'));
  try {
    await using engine = openKiln({ root: join(directory, 'store') });
    const chunks: Uint8Array[] = [];
    using session = memorySession({
      directories,
      output: async (bytes) => void chunks.push(Buffer.from(bytes)),
    });
    const { signal } = new AbortController();
    await build(engine, request, session, () => {}, signal, { driver });
    if (chunks.length === 0) return [];
    const text = execFileSync('tar', ['-t'], { input: Buffer.concat(chunks) }).toString();
    return text.trim().split('\n');
  } finally {
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

test('a driver may ask for several graphs and export the one that it chooses', async () => {
  const files = {
    Dockerfile: 'FROM scratch AS a\nCOPY a /\nFROM scratch\nCOPY b /\n',
    a: '',
    b: '',
  };
  const asked: number[] = [];
  const driver: BuildDriver = async (bridge) => {
    const first = await askFrontend(bridge, buildRequest({ target: 'a' }));
    const second = await askFrontend(bridge, buildRequest({}));
    asked.push(first.targets.length, second.targets.length);
    return first;
  };
  assert.equal(await listed({ context: files }, TAR, driver), ['a']);
  assert.equal(asked, [1, 1]);
});

test('two frontends of one build ignore different files of one context', async () => {
  const files = {
    A: 'FROM scratch\nCOPY . /\n',
    'A.dockerignore': 'a\n',
    B: 'FROM scratch\nCOPY . /\n',
    'B.dockerignore': 'b\n',
    a: '',
    b: '',
  };
  const from = (path: string) =>
    buildRequest({ dockerfile: { kind: 'file', path, name: path } } as const);
  const first: BuildDriver = async (bridge) => {
    const answer = await askFrontend(bridge, from('A'));
    await askFrontend(bridge, from('B'));
    return answer;
  };
  const of = (names: readonly string[]) => names.filter((name) => /^[ab]$/.test(name));
  assert.equal(of(await listed({ context: files }, TAR, first)), ['b']);
});

test('a directory of the caller that is the result itself is exported with its files', async () => {
  const driver: BuildDriver = async ({ context: { request } }) => {
    const platform = hostPlatform();
    const options = () => ({ sessionId: '', sharedKeyHint: '' });
    const edge = seal(localSource('files', options, {}), platform);
    const config = { ...platform, config: {}, history: [] };
    return { request, targets: [{ platform, edge, config }], dockerfile: undefined };
  };
  const files = { a: '1', b: '2' };
  assert.equal(await listed({ files }, TAR, driver), ['a', 'b']);
});

test('a driver that returns no target exports nothing', async () => {
  const driver: BuildDriver = async ({ context: { request } }) => ({
    request,
    targets: [],
    dockerfile: undefined,
  });
  assert.equal(await listed({}, TAR, driver), []);
});

test('an ignore file beside a lent Dockerfile takes the place of that of the context', async () => {
  const context = { '.dockerignore': 'a\n', a: '', b: '' };
  const Dockerfile = 'FROM scratch\nCOPY . /\n';
  const lent = (name: string) => ({
    ...TAR,
    dockerfile: { kind: 'lent', directory: 'files', name } as const,
  });
  const of = (names: readonly string[]) => names.filter((name) => /^[ab]$/.test(name));
  assert.equal(of(await listed({ context, files: { Dockerfile } }, lent('Dockerfile'))), ['b']);
  assert.equal(
    of(await listed({ context, files: { dockerfile: Dockerfile } }, lent('Dockerfile'))),
    ['b'],
  );
  const own = { D: Dockerfile, 'D.dockerignore': 'b\n' };
  assert.equal(of(await listed({ context, files: own }, lent('D'))), ['a']);
});

test.run();
