import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import type { ProgressEvent } from '../base/progress.ts';
import type { Frontend } from '../frontend/gateway.ts';
import { fileChanges, localSource } from '../solver/llb/builder.ts';
import { seal } from '../solver/llb/draft.ts';
import { build, buildRequest, memorySession, openKiln, output } from './library.ts';

/**
 * A small second frontend. Each line of `build.txt` in the context is `PATH TEXT` and becomes a
 * file of the image. It shows that a frontend needs only its gateway: it reads a file of a solved
 * tree, warns, resolves an image and returns a graph.
 */
const lines: Frontend = {
  async solve(gateway, { mainContext, buildArgs }) {
    const context = localSource(
      'context',
      () => ({ sessionId: mainContext.sessionId, sharedKeyHint: 'context' }),
      {
        name: 'the build file',
      },
    );
    await using tree = await gateway.solve(context);
    const found = tree.find('build.txt', 1 << 20);
    if (found.kind !== 'file')
      throw new KilnError('KILN_DOCKERFILE_NOT_FOUND', 'there is no build.txt');
    const base = buildArgs.get('BASE');
    if (base) await gateway.resolveImage(base, gateway.buildPlatform, { pull: false });
    const steps = found.bytes
      .toString()
      .trim()
      .split('\n')
      .map((line) => {
        const [path = '', ...words] = line.split(' ');
        if (words.length === 0)
          gateway.warn({ kind: 'warning', short: `${path} is empty`, detail: [] });
        const mkfile = {
          path: `/${path}`,
          mode: 0o644,
          data: Buffer.from(words.join(' ')),
          timestamp: -1,
        };
        return { kind: 'mkfile', mkfile } as const;
      });
    const edge = seal(
      fileChanges(undefined, steps, { name: 'files of the lines' }),
      gateway.buildPlatform,
    );
    const config = { ...gateway.buildPlatform, config: {}, history: [{ created_by: 'lines' }] };
    return { targets: [{ platform: gateway.buildPlatform, edge, config }], warnings: [] };
  },
};

async function built(
  files: Readonly<Record<string, string>>,
  frontend = 'lines',
  buildArgs = new Map<string, string>(),
) {
  const root = mkdtempSync(join(tmpdir(), 'kiln-frontend-'));
  const chunks: Uint8Array[] = [];
  const events: ProgressEvent[] = [];
  try {
    await using engine = openKiln({ root, frontends: { lines }, registry: async () => ({}) });
    using session = memorySession({
      directories: { context: { Dockerfile: '', ...files } },
      output: async (bytes) => void chunks.push(Buffer.from(bytes)),
    });
    const request = buildRequest({ frontend, buildArgs, outputs: [output('type=tar,dest=-')] });
    await build(
      engine,
      request,
      session,
      (event) => void events.push(event),
      new AbortController().signal,
    );
  } finally {
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  }
  return { tar: Buffer.concat(chunks), events };
}

test('a second frontend uses the gateway alone: it reads, warns and answers a graph', async () => {
  const { tar, events } = await built({ 'build.txt': 'greeting hello there\nempty\n' });
  assert.is(execFileSync('tar', ['-xO', 'greeting'], { input: tar }).toString(), 'hello there');
  assert.ok(events.some((event) => event.kind === 'warning' && event.short === 'empty is empty'));
  assert.ok(events.some((event) => event.kind === 'vertex' && event.name === 'files of the lines'));
});

test('the errors of a second frontend have the codes that they have for Dockerfiles', async () => {
  const code = async (work: Promise<unknown>): Promise<string> => {
    try {
      await work;
    } catch (error) {
      return error instanceof KilnError ? error.code : String(error);
    }
    return '';
  };
  assert.is(await code(built({})), 'KILN_DOCKERFILE_NOT_FOUND');
  const unknown = new Map([['BASE', '127.0.0.1:1/no/such:1']]);
  assert.match(
    await code(built({ 'build.txt': 'a b\n' }, 'lines', unknown)),
    /^KILN_(REGISTRY|IMAGE)_/,
  );
  assert.is(await code(built({ 'build.txt': 'a b\n' }, 'nosuch')), 'KILN_REQUEST_INVALID');
});

test.run();
