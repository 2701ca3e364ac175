import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../../base/errors.ts';
import type { Gateway, SolvedTree } from '../gateway.ts';
import { parseDockerfile } from '../parse.ts';
import { requestOf } from '../testing/request.ts';
import { withEpoch } from './epoch.ts';

const FILE = 0o100644;
const DIRECTORY = 0o040755;
const SECOND = 1_000_000_000n;

/** A tree with one file in a directory that is newer than the file. */
function treeOf(modified: bigint): SolvedTree {
  const entries = {
    '/': [{ name: 'd', mode: DIRECTORY, modTime: 9999n * SECOND }],
    '/d': [{ name: 'f', mode: FILE, modTime: modified * SECOND }],
  };
  return {
    list: (path: keyof typeof entries) => entries[path],
    stat: () => undefined,
    [Symbol.asyncDispose]: async () => {},
  } as unknown as SolvedTree;
}

const TREES: Pick<Gateway, 'solve'> = { solve: async () => treeOf(1234n) };

async function timeOf(
  said: string | undefined,
  text: string,
  request: Parameters<typeof requestOf>[1] = {},
): Promise<number | undefined> {
  const buildArgs = new Map(said === undefined ? [] : [['SOURCE_DATE_EPOCH', said]]);
  const asked = requestOf(text, { ...request, buildArgs });
  const answered = await withEpoch(asked, parseDockerfile(asked.dockerfile), TREES);
  if (answered !== asked)
    assert.is(answered.buildArgs.get('SOURCE_DATE_EPOCH'), `${answered.epoch ?? ''}`);
  return answered.epoch;
}

const ADDED = 'FROM scratch AS src\nADD https://github.com/a/b.git /\nFROM src\n';

test('the time is a number of the argument, or of the default of a global ARG', async () => {
  assert.is(await timeOf('12', 'FROM scratch\n'), 12);
  assert.is(await timeOf(undefined, 'ARG SOURCE_DATE_EPOCH=13\nFROM scratch\n'), 13);
  assert.is(await timeOf(undefined, 'ARG SOURCE_DATE_EPOCH\nFROM scratch\n'), undefined);
  assert.is(await timeOf(undefined, 'FROM scratch\nARG SOURCE_DATE_EPOCH=14\n'), undefined);
});

test('a stage that adds one repository gives the time of its newest file', async () => {
  assert.is(await timeOf('src', ADDED), 1234);
  assert.is(await timeOf(undefined, `ARG SOURCE_DATE_EPOCH=src\n${ADDED}`), 1234);
});

test('a directory has no time', async () => {
  assert.is(await timeOf('context', 'FROM scratch\n'), undefined);
});

test('a stage that does more, and a name that is none, are refused', async () => {
  const refused = async (said: string, text: string): Promise<string> =>
    await timeOf(said, text).then(
      () => 'accepted',
      ({ message }: Error) => message,
    );
  const stage = 'SOURCE_DATE_EPOCH stage does not meet source-only requirements';
  const why = async (text: string) => (await refused('src', text)).replace(`${stage}: `, '');
  assert.is(await why('FROM scratch AS src\nADD a b c/\n'), 'it does not ADD one source');
  assert.is(
    await why('FROM scratch AS src\nADD a b\nENV A=1\n'),
    'it has another instruction than ADD and ARG',
  );
  assert.is(await why('FROM scratch AS src\nADD a b\n'), 'its ADD is no URL of git or http');
  assert.is(await why('FROM busybox AS src\nADD a b\n'), 'it is not FROM scratch');
  assert.is(await refused('nope', ADDED), 'invalid SOURCE_DATE_EPOCH: nope');
});

test('a stage may have ARGs for the URL of its ADD', async () => {
  const text =
    'ARG REPO=b\nFROM scratch AS src\nARG REPO\nARG H=github.com\n' +
    'ADD https://$H/a/$REPO.git /\nFROM src\n';
  assert.is(await timeOf('src', text), 1234);
});

test('the default may name the platform; times that differ are refused', async () => {
  const AMD64 = { os: 'linux', architecture: 'amd64' };
  const ARM64 = { os: 'linux', architecture: 'arm64' };
  const text = 'ARG E=${TARGETARCH/amd64/1}\nARG SOURCE_DATE_EPOCH=10${E/arm64/2}\nFROM scratch\n';
  const of = (...platforms: (typeof AMD64)[]) => timeOf(undefined, text, { platforms });
  assert.is(await of(AMD64), 101);
  assert.is(await of(ARM64), 102);
  assert.is(await of(ARM64, ARM64), 102);
  const refused = await of(AMD64, ARM64).catch((error: unknown) => error);
  assert.is((refused as KilnError).code, 'KILN_EPOCH_INVALID');
  assert.match((refused as KilnError).message, '101, 102');
});

test.run();
