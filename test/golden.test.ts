import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GoldenCase } from './golden/case.ts';
import { CASES } from './golden/cases.ts';
import { goldenWorld } from './golden/kiln.ts';
import { ROOT } from './rig.ts';

function expected({ name, refused, differs }: GoldenCase): unknown {
  if (refused) return { refused: true };
  const docker = JSON.parse(
    readFileSync(join(ROOT, 'test/golden/expected', `${name}.json`), 'utf8'),
  );
  return differs ? differs.expect(docker) : docker;
}

const world = await goldenWorld();
test.after(async () => await world[Symbol.asyncDispose]());

/** The next build runs while a result is compared, because builds mostly wait for processes. */
const ahead = new Map<string, Promise<unknown>>();
const outcome = (index: number) => {
  const golden = CASES[index];
  if (golden && !ahead.has(golden.name)) {
    const answer = world.build(golden);
    answer.catch(() => {});
    ahead.set(golden.name, answer);
  }
  return golden && ahead.get(golden.name);
};

for (const [index, golden] of CASES.entries()) {
  const title = golden.byHand
    ? 'Kiln gives the result that was written by hand'
    : golden.refused
      ? 'Docker 28 and Kiln refuse it'
      : 'Docker 28 and Kiln give the same tree and config';
  const but = golden.differs ? ` but for this: ${golden.differs.why}` : '';
  test(`${title}: ${golden.name}${but}`, async () => {
    const answer = outcome(index);
    outcome(index + 1);
    assert.equal(await answer, expected(golden));
  });
}

test('there are at least 100 cases, and no two have the same name', () => {
  assert.ok(CASES.length >= 100);
  assert.is(new Set(CASES.map(({ name }) => name)).size, CASES.length);
});

test.run();
