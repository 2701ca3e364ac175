import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  codesIn,
  codesInDocument,
  codesInSources,
  codesInUnion,
  ERROR_FOLDERS,
} from '../scripts/errors.ts';
import { CancelledError, KilnError, type Place } from './errors.ts';

const sources = codesInSources();
const documented = codesInDocument();

test('docs/errors.md explains every code in the sources', () => {
  const known = new Set(documented.map(({ code }) => code));
  assert.equal(
    [...sources.keys()].filter((code) => !known.has(code)),
    [],
  );
});

test('docs/errors.md explains only codes that the sources have, each once', () => {
  const codes = documented.map(({ code }) => code);
  assert.equal(
    codes.filter((code, at) => !sources.has(code) || codes.indexOf(code) !== at),
    [],
  );
});

test('the union of codes is what docs/errors.md explains', () => {
  assert.equal(codesInUnion().sort(), documented.map(({ code }) => code).sort());
});

test('a code is explained under the lowest folder that names it', () => {
  const misplaced = documented.filter(
    ({ code, folder }) => ERROR_FOLDERS.find((name) => sources.get(code)?.has(name)) !== folder,
  );
  assert.equal(misplaced, []);
});

test('a code in a list counts as a code, the name of an environment variable does not', () => {
  assert.equal(
    codesIn(`new Set(['KILN_A', "KILN_B2"]); env['KILN_ROOT']; // KILN_C, 'use KILN_D'`),
    ['KILN_A', 'KILN_B2'],
  );
});

test('an error keeps the first place it is given and all its other fields', () => {
  const first: Place = { kind: 'flag', flag: '--tag' };
  const bare = new KilnError('KILN_USAGE', 'wrong', {
    hint: 'mend it',
    exitCode: 2,
    notes: ['a'],
    cause: 'why',
  });
  const placed = bare.at(first).at({ kind: 'path', path: '/x' });
  const { code, message, place, hint, exitCode, notes, cause } = placed;
  assert.equal(
    [code, message, place, hint, exitCode, notes, cause],
    ['KILN_USAGE', 'wrong', first, 'mend it', 2, ['a'], 'why'],
  );
  assert.is(bare.place, undefined);
  assert.is(new CancelledError().exitCode, 130);
});

test('an error with other parts keeps the rest', () => {
  const place: Place = { kind: 'flag', flag: '--tag' };
  const options = { place, hint: 'mend it', exitCode: 2, notes: ['a'], cause: 'why' };
  const error = new KilnError('KILN_USAGE', 'wrong', options).with({
    message: 'very wrong',
    notes: ['a', 'b'],
  });
  assert.equal(
    [error.code, error.message, error.place, error.hint, error.exitCode, error.notes, error.cause],
    ['KILN_USAGE', 'very wrong', place, 'mend it', 2, ['a', 'b'], 'why'],
  );
});

test.run();
