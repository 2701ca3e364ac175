import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { canMoveCursor, colorEnabled, sizeFor } from './terminal-size.ts';

test('an implausible size is replaced by COLUMNS and LINES, or by 80 and 24', () => {
  assert.equal(sizeFor({ columns: 120, rows: 40 }, { COLUMNS: '10' }), { columns: 120, rows: 40 });
  for (const reported of [{}, { columns: 0, rows: 0 }, { columns: 65535, rows: 65535 }])
    assert.equal(sizeFor(reported, {}), { columns: 80, rows: 24 });
  assert.equal(sizeFor({ columns: 0 }, { COLUMNS: '132', LINES: '50' }), {
    columns: 132,
    rows: 50,
  });
  assert.equal(sizeFor({ columns: 0 }, { COLUMNS: 'wide', LINES: '-1' }), {
    columns: 80,
    rows: 24,
  });
});

test('TERM=dumb switches off drawing, and NO_COLOR and CLICOLOR=0 switch off colours', () => {
  assert.equal([{ TERM: 'xterm' }, { TERM: 'dumb' }, {}].map(canMoveCursor), [true, false, false]);
  const colored = (env: NodeJS.ProcessEnv) => colorEnabled({ TERM: 'xterm', ...env });
  assert.equal(
    [{}, { NO_COLOR: '' }, { NO_COLOR: '1' }, { CLICOLOR: '0' }, { TERM: 'dumb' }].map(colored),
    [true, true, false, false, false],
  );
});

test.run();
