import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanLine, oneLine, styled, unstyled, visible } from './text.ts';

test('control characters are shown as text', () => {
  assert.is(visible('\u001b]0;t\u0007\r\u007f\u009b1m\u202e'), '^[]0;t^G^M^?\\u009b1m\\u202e');
  assert.is(visible('a\tb\r\nc\n'), 'a\tb\nc\n');
  assert.is(oneLine('a\n  b'), 'a b');
});

test('of the output of a step colours go through, and end with it', () => {
  assert.is(styled('\u001b[1;31mred\u001b[0m\n'), '\u001b[1;31mred\u001b[0m\n');
  assert.is(styled('\u001b[31mred\n'), '\u001b[31mred\u001b[0m\n');
  assert.is(
    styled('\u001b[2J\u001b[8mhidden\u001b[38;5;8mgrey'),
    '^[[2Jhidden\u001b[38;5;8mgrey\u001b[0m',
  );
  assert.is(unstyled('\u001b[31mred\u001b[0m\u001b[2J'), 'red^[[2J');
});

test('a cleaned line has no escape sequences, and only what stood last', () => {
  assert.is(cleanLine('\u001b[31mred\u001b[0m\tx'), 'red    x');
  assert.is(cleanLine('10%\r50%\r100%\r'), '100%');
  assert.is(
    cleanLine('\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\ \u009b31mc1\u009d0;t\u0007\u001bc'),
    'link c1',
  );
});

test('whatever the text, no character reaches a terminal that it obeys', () => {
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
        visible(text),
        unstyled(text),
        styled(text).replace(/\u001b\[[0-9;:]*m/g, ''),
      ])
        assert.not.match(out, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
      assert.not.match(cleanLine(text.replaceAll('\n', '')), /[\u0000-\u001f\u007f-\u009f\u202e]/);
    }),
  );
});

test.run();
