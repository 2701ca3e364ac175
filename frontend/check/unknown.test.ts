import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unknownRules } from './unknown.ts';

const warningsOf = (text: string, override?: string) =>
  unknownRules({ name: 'Dockerfile', text }, override).map(({ short }) => short);

test('an unknown rule gives a warning with a suggestion', () => {
  assert.equal(
    warningsOf('# check=skip=StageNameCasin,Nothing;experimental=CopyIgnoredFile\nFROM scratch\n'),
    [
      'there is no check named "StageNameCasin" (did you mean StageNameCasing?): ' +
        'naming it has no effect',
      'there is no check named "Nothing": naming it has no effect',
    ],
  );
  assert.is(
    warningsOf('# syntax=docker/dockerfile:1\n# check=experimental=Nothing\nFROM scratch\n').length,
    1,
  );
  assert.is(warningsOf('FROM scratch\n', 'skip=Nothing').length, 1);
});

test('known rules, all, and other values give no warning', () => {
  for (const check of [
    'skip=StageNameCasing',
    'skip=all',
    'error=true',
    'experimental=all',
    'skip=',
    'nonsense',
  ])
    assert.equal(warningsOf(`# check=${check}\nFROM scratch\n`), []);
  assert.equal(warningsOf('# check=skip=Nothing\nFROM scratch\n', 'skip=all'), []);
  assert.equal(warningsOf('FROM scratch\n# check=skip=Nothing\n'), []);
});

test.run();
