import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const CHILD = join(import.meta.dirname, 'outcome.child.ts');

/** What the command does, the exit code, and what is printed to standard error. */
for (const [work, code, says] of [
  ['works', 0, /^$/],
  ['fails', 3, /^$/],
  ['throws', 70, /^ERROR: this is a bug in Kiln, please report it: a bug\n/],
  [
    'never settles',
    1,
    /^ERROR: kiln ended before its work was done.*\[KILN_UNFINISHED\]\nhint: .*\n$/,
  ],
  ['is never closed', 1, /^ERROR: kiln ended before its work was done.*\[KILN_UNFINISHED\]\n/],
  [
    'is never closed and holds the loop',
    1,
    /^ERROR: the thing could not be closed within .*\[KILN_UNFINISHED\]\n/,
  ],
  ['throws where nothing catches', 70, /^ERROR: this is a bug in Kiln, please report it: a bug\n/],
  ['rejects where nothing catches', 1, /^ERROR: write: the reader has gone \[KILN_SYSTEM\]\n/],
  ['calls exit', 1, /^ERROR: kiln ended before its work was done/],
] as const) {
  test(`a command that ${work} ends with ${code}`, () => {
    const ran = spawnSync(process.execPath, [CHILD, work], { encoding: 'utf8' });
    assert.is(ran.status, code, ran.stderr);
    assert.match(ran.stderr, says);
    assert.is(ran.stdout, '');
    assert.not.match(ran.stderr, /Node\.js v/);
  });
}

test.run();
