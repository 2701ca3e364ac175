import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  escapeControls,
  escapeDroppingColors,
  escapeKeepingColors,
  oneLine,
  plainLine,
} from './text.ts';

test('control characters become visible text', () => {
  assert.is(
    escapeControls('\u001b]0;t\u0007\r\u007f\u009b1m\u202e'),
    '^[]0;t^G^M^?\\u009b1m\\u202e',
  );
  assert.is(escapeControls('a\tb\r\nc\n'), 'a\tb\nc\n');
  assert.is(oneLine('a\n  b'), 'a b');
});

test('colours of a step are kept and reset at its end, other sequences are escaped', () => {
  assert.is(escapeKeepingColors('\u001b[1;31mred\u001b[0m\n'), '\u001b[1;31mred\u001b[0m\n');
  assert.is(escapeKeepingColors('\u001b[31mred\n'), '\u001b[31mred\u001b[0m\n');
  assert.is(
    escapeKeepingColors('\u001b[2J\u001b[8mhidden\u001b[38;5;8mgrey'),
    '^[[2Jhidden\u001b[38;5;8mgrey\u001b[0m',
  );
  assert.is(escapeDroppingColors('\u001b[31mred\u001b[0m\u001b[2J'), 'red^[[2J');
});

test('a plain line has no escape sequences, and only the text after the last redraw', () => {
  assert.is(plainLine('\u001b[31mred\u001b[0m\tx'), 'red    x');
  assert.is(plainLine('10%\r50%\r100%\r'), '100%');
  assert.is(
    plainLine('\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\ \u009b31mc1\u009d0;t\u0007\u001bc'),
    'link c1',
  );
});

test('no text gets a control character through to the terminal', () => {
  const hostile = fc.array(
    fc.constantFrom(
      '\u001b',
      '[',
      ']',
      '0',
      '8',
      ';',
      'm',
      'J',
      '\u0007',
      '\u009b',
      '\r',
      '\n',
      'x',
      '\u202e',
    ),
    {
      maxLength: 30,
    },
  );
  fc.assert(
    fc.property(hostile, (parts) => {
      const text = parts.join('');
      for (const out of [
        escapeControls(text),
        escapeDroppingColors(text),
        escapeKeepingColors(text).replace(/\u001b\[[0-9;:]*m/g, ''),
      ])
        assert.not.match(out, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
      assert.not.match(plainLine(text.replaceAll('\n', '')), /[\u0000-\u001f\u007f-\u009f\u202e]/);
    }),
  );
});

test.run();
