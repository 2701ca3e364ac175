import { status } from '@grpc/grpc-js';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fileChanges } from '../../solver/llb/builder.ts';
import { LLBBridge } from '../proto/gateway.gen.ts';
import { type DrivingClient, definitionOf, Served } from '../served-fixture.ts';

const { readFile, readDir, statFile, solve } = LLBBridge.method;

const TREE = definitionOf(
  fileChanges(
    undefined,
    [
      { kind: 'mkdir', mkdir: { path: '/d', mode: 0o755, makeParents: false, timestamp: -1 } },
      {
        kind: 'mkfile',
        mkfile: { path: '/d/f', mode: 0o600, data: Buffer.from('0123456789'), timestamp: 5e9 },
      },
      { kind: 'symlink', symlink: { oldpath: '/d/f', newpath: '/l', timestamp: -1 } },
      { kind: 'symlink', symlink: { oldpath: '/../../etc', newpath: '/out', timestamp: -1 } },
    ],
    { name: 'a tree' },
  ),
);

/** Runs `look` with a result of the tree. */
async function looking(
  look: (bridge: DrivingClient, ref: string, served: Served) => Promise<void>,
) {
  await using served = await Served.open();
  await served.drive({}, async (bridge) => {
    const { ref } = await bridge.call(solve, { definition: TREE, evaluate: true });
    await look(bridge, ref, served);
    return {};
  });
  assert.equal(served.bugs, []);
}

test('ranges of a file are read as BuildKit reads them', async () => {
  await looking(async (bridge, ref, served) => {
    const read = async (offset?: number, length = 0) => {
      const range =
        offset === undefined ? {} : { range: { offset: BigInt(offset), length: BigInt(length) } };
      const { data } = await bridge.call(readFile, { ref, filePath: '/l', ...range });
      return Buffer.from(data).toString();
    };
    assert.is(await read(), '0123456789');
    assert.is(await read(2, 3), '234');
    assert.is(await read(8, 100), '89');
    assert.is(await read(20, 1), '');
    assert.is(await read(0, 0), '');
    assert.is((await served.refused(read(-1, 1))).code, status.INVALID_ARGUMENT);
  });
});

test('what is no file is told apart, and nothing outside the tree is read', async () => {
  await looking(async (bridge, ref, served) => {
    const reading = (filePath: string, range = {}) =>
      served.refused(bridge.call(readFile, { ref, filePath, ...range }));
    assert.match((await reading('/d')).text, /read \/d: is a directory/);
    assert.is((await reading('/no')).code, status.NOT_FOUND);
    assert.is((await reading('/out/passwd')).code, status.NOT_FOUND);
    const range = { range: { offset: 0n, length: 1n } };
    assert.is((await reading('/out/passwd', range)).code, status.NOT_FOUND);
    assert.is((await reading('/d', range)).code, status.NOT_FOUND);
    const listing = served.refused(bridge.call(readDir, { ref, dirPath: '/d/f' }));
    assert.is((await listing).code, status.NOT_FOUND);
  });
});

test('entries of a directory have their type, owner, time and where they lead', async () => {
  await looking(async (bridge, ref) => {
    const { stat } = await bridge.call(statFile, { ref, path: '/d/f' });
    assert.equal(
      [stat?.path, stat?.mode, stat?.size, stat?.modTime],
      ['f', 0o600, 10n, 5_000_000_000n],
    );
    const { entries } = await bridge.call(readDir, { ref, dirPath: '/', includePattern: 'l*' });
    assert.equal(
      entries.map(({ path, linkname }) => [path, linkname]),
      [['l', '/d/f']],
    );
  });
});

test.run();
