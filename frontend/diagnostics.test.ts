import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import { renderError } from './diagnostics.ts';
import { parseDockerfile } from './parse.ts';

function rendered(text: string): string[] {
  try {
    parseDockerfile({ name: 'Dockerfile', text });
  } catch (error) {
    return renderError(error as KilnError).split('\n');
  }
  return [];
}

test('an error shows its line with its neighbours, the mistake and the hint', () => {
  assert.equal(rendered('FROM busybox\nARG a\nCOPPY a b\nCMD x\n'), [
    'Dockerfile:3',
    '--------------------',
    '   1 |     FROM busybox',
    '   2 |     ARG a',
    '   3 | >>> COPPY a b',
    '     |     ^^^^^',
    '   4 |     CMD x',
    '   5 |',
    '--------------------',
    'ERROR: unknown instruction: COPPY (did you mean COPY?) [KILN_DOCKERFILE_UNKNOWN_INSTRUCTION]',
    'hint: write COPY',
  ]);
});

test('an error about several lines marks them all, up to a dozen', () => {
  const short = rendered('FROM x\nENV a=1 \\\nb=2 \\\n=z');
  assert.equal(
    short.filter((line) => line.includes('>>>')),
    ['   2 | >>> ENV a=1 \\', '   3 | >>> b=2 \\', '   4 | >>> =z'],
  );
  const long = rendered(`FROM x\nENV a=1 \\\n${'b=2 \\\n'.repeat(99)}=z\n`);
  assert.is(long.filter((line) => line.includes('>>>')).length, 12);
  assert.ok(long.some((line) => line.includes('… 89 more lines')));
});

test('a very long line is cut', () => {
  assert.ok(rendered(`FROM x\nFOO ${'y'.repeat(10_000)}`).every((line) => line.length < 300));
});

test('tabs before the mark are kept, so that the mark is under the word', () => {
  assert.ok(rendered('FROM x\n\t\tFOO\n').includes('     |     \t\t^^^'));
});

test('errors without a place, or at a flag, have no excerpt', () => {
  assert.is(renderError(new KilnError('KILN_USAGE', 'a is b')), 'ERROR: a is b [KILN_USAGE]');
  assert.is(
    renderError(
      new KilnError('KILN_USAGE', 'a is b', {
        place: { kind: 'flag', flag: '--a' },
        notes: ['more'],
      }),
    ),
    '------\nmore\n------\n--a\nERROR: a is b [KILN_USAGE]',
  );
});

test.run();
