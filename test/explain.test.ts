import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

const DOCKERFILE = `
FROM busybox
ARG V=1
COPY a /a
COPY src /src
RUN echo $V > /v
RUN --mount=type=bind,source=b,target=/b cat /b > /c
`;

async function prepared(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  const sources = Object.fromEntries(
    ['1', '2', '3', '4', '5'].map((name) => [`src/f${name}`, name]),
  );
  rig.write('c', { Dockerfile: DOCKERFILE, a: 'a', b: 'b', ...sources });
  await rig.build('c');
  return rig;
}

/** The reasons that `--explain` shows, by step. */
async function reasons(rig: Rig, ...args: string[]): Promise<Map<string, string>> {
  const { stderr } = await rig.kiln(['build', '--explain', '--progress=plain', ...args, 'c'], {
    expect: 0,
  });
  return parsed(stderr);
}

function parsed(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/^ {2}\[[^\]]*\] (.*)\n {6}(.*)$/gm)].map(([, step = '', reason = '']) => [
      step,
      reason,
    ]),
  );
}

test('a first build was never built here, and a second build runs nothing', async () => {
  await using rig = await prepared();
  const { stdout } = await rig.kiln(['explain'], { expect: 0 });
  assert.equal(new Set(parsed(stdout).values()), new Set(['it was never built here']));
  const { stderr } = await rig.kiln(['build', '--explain', 'c'], { expect: 0 });
  assert.match(stderr, 'nothing ran: all 5 steps were cached');
});

test('changed, new and removed files are named, and later steps refer to them', async () => {
  await using rig = await prepared();
  for (const name of ['2', '3', '4', '5']) writeFileSync(rig.path('c/src', `f${name}`), 'x');
  rmSync(rig.path('c/src/f1'));
  writeFileSync(rig.path('c/src/new'), '');
  const found = await reasons(rig);
  assert.is(
    found.get('COPY src /src'),
    'changed: src/f2, src/f3, src/f4 and 1 more; added: src/new; removed: src/f1',
  );
  assert.match(
    found.get('RUN echo 1 > /v') ?? '',
    /^it follows a step that was not cached: .*\] COPY src \/src$/,
  );
  assert.is(found.size, 3);
  chmodSync(rig.path('c/a'), 0o600);
  assert.is((await reasons(rig)).get('COPY a /a'), 'mode or owner changed: a');
});

test('a changed file in a mount of a RUN is named, too', async () => {
  await using rig = await prepared();
  writeFileSync(rig.path('c/b'), 'other');
  assert.equal([...(await reasons(rig)).values()], ['changed: b']);
});

test('a build argument is named, its value is not', async () => {
  await using rig = await prepared();
  const found = await reasons(rig, '--build-arg', 'V=very-secret');
  assert.is([...found.values()][0], 'the build argument or variable V has another value');
});

test('an instruction that changed is shown as it was', async () => {
  await using rig = await prepared();
  rig.write('c', { Dockerfile: DOCKERFILE.replace('COPY a /a', 'COPY --chown=1 a /a') });
  assert.is(
    (await reasons(rig)).get('COPY --chown=1 a /a'),
    'the instruction changed; it was "COPY a /a"',
  );
});

test('a step at another place in the Dockerfile is compared with its earlier result', async () => {
  await using rig = await prepared();
  rig.write('c', { Dockerfile: DOCKERFILE.replace('FROM busybox', 'FROM busybox\nRUN true') });
  const found = await reasons(rig);
  assert.match(found.get('RUN true') ?? '', /^the instruction changed|never built/);
  assert.match(
    found.get('COPY a /a') ?? '',
    /^it follows a step that was not cached: .*\] RUN true$/,
  );
});

test('a changed base image is named, with the earlier one', async () => {
  await using rig = await prepared();
  rig.write('base', { Dockerfile: 'FROM busybox\nRUN echo new > /new\n' });
  await rig.build('base', '-t', 'busybox');
  const found = [...(await reasons(rig))];
  assert.match(
    found[0]?.[1] ?? '',
    /^the base image changed; it was docker\.io\/library\/busybox:latest@sha256:/,
  );
});

test('--no-cache and a prune are named as reasons', async () => {
  await using rig = await prepared();
  assert.match([...(await reasons(rig, '--no-cache')).values()][0] ?? '', '--no-cache');
  await rig.kiln(['prune', '--force'], { expect: 0 });
  const found = [...(await reasons(rig)).values()];
  assert.ok(found.length > 3);
  for (const reason of found)
    assert.match(reason, /^its result was pruned on .* UTC: 'kiln prune' was called$/);
});

test.run();
