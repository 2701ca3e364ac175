import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../base/errors.ts';
import { checkBuild } from './call/call.ts';
import { excerpt } from './diagnostics.ts';
import { requestOf } from './testing/request.ts';

interface Wrong {
  readonly name: string;
  readonly dockerfile: string;
  readonly target?: string;
  /** Docker 28.5's error. It is null when Docker accepts the file. */
  readonly docker: string | null;
  readonly dockerLines?: readonly [number, number];
  /** Why Kiln differs on purpose, if it does. */
  readonly differs?: string;
  readonly code?: string;
  readonly lines?: readonly [number, number];
  readonly columns?: readonly [number, number];
  readonly flag?: string;
  readonly message?: string;
  readonly hint?: string;
}

const CASES: readonly Wrong[] = JSON.parse(
  readFileSync(join(import.meta.dirname, 'testdata/wrong.json'), 'utf8'),
);

async function errorOf({ dockerfile, target }: Wrong): Promise<KilnError | undefined> {
  return (await checkBuild(requestOf(dockerfile, { target }))).error;
}

for (const one of CASES) {
  test(`${one.name}: ${one.code ?? 'taken'}`, async () => {
    const error = await errorOf(one);
    assert.is(error?.code, one.code);
    assert.is(error?.message, one.message);
    assert.is(error?.hint, one.hint);
    const place = error?.place;
    assert.equal(
      place?.kind === 'source' ? [place.start.line, place.end.line] : undefined,
      one.lines,
    );
    assert.equal(
      place?.kind === 'source' && place.start.column > 0
        ? [place.start.column, place.end.column]
        : undefined,
      one.columns,
    );
    assert.is(place?.kind === 'flag' ? place.flag : undefined, one.flag);
    if (place?.kind === 'source' && one.dockerfile !== '')
      assert.ok(excerpt(place).some((line) => line.includes('>>>')));
  });
}

test('Kiln accepts and refuses the files that Docker does, but for listed differences', () => {
  const differing = CASES.filter(
    ({ docker, code, differs }) =>
      differs === undefined && (docker === null) !== (code === undefined),
  );
  assert.equal(
    differing.map(({ name }) => name),
    [],
  );
});

test('Kiln points at a line that Docker points at, or at a part of the instruction', () => {
  const elsewhere = CASES.filter(({ dockerLines, lines, dockerfile }) => {
    if (!dockerLines || !lines || dockerLines[0] === lines[0]) return false;
    // Docker shows the last line of a file with comments only, and the first of a continued
    // instruction.
    return !(
      /^(?:#.*\n)+$/.test(dockerfile) ||
      /\\\n/.test(dockerfile) ||
      dockerfile.startsWith('# escape')
    );
  });
  assert.equal(
    elsewhere.map(({ name }) => name),
    [],
  );
});

test('every error says what to do', () => {
  const silent = CASES.filter(
    ({ code, hint, name }) => code !== undefined && hint === undefined && name !== 'from bad image',
  );
  assert.equal(
    silent.map(({ name }) => name),
    [],
  );
});

test.run();
