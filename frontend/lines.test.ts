import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { KilnError } from '../base/errors.ts';
import { heredocsIn } from './heredoc.ts';
import { LineReader, type LogicalLine } from './lines.ts';

function read(text: string): { reader: LineReader; lines: LogicalLine[] } {
  const reader = new LineReader({ name: 'Dockerfile', text });
  const lines: LogicalLine[] = [];
  for (let line = reader.next(); line; line = reader.next()) lines.push(line);
  return { reader, lines };
}

const texts = (text: string) => read(text).lines.map((line) => line.text);

test('a continued line keeps the white space at the beginning of the next one', () => {
  assert.equal(texts('RUN a \\\n   b\\\nc\nCMD d'), ['RUN a    bc', 'CMD d']);
});

test('an escape before trailing blanks continues the line; an escaped escape does not', () => {
  assert.equal(texts('CMD a\\ \t\n b\n'), ['CMD a b']);
  assert.equal(texts('CMD a\\\\\nCMD b\n'), ['CMD a\\\\', 'CMD b']);
});

test('comment lines and blank lines between continued lines are removed', () => {
  const { lines } = read('RUN a \\\n  # c \\\n\n \t\n  b\nCMD x');
  assert.equal(
    lines.map((line) => line.text),
    ['RUN a   b', 'CMD x'],
  );
  assert.equal(
    lines.map((line) => [line.startLine, line.endLine, line.emptyContinuation]),
    [
      [1, 5, true],
      [6, 6, false],
    ],
  );
});

test('a # inside a line is text', () => {
  assert.equal(texts('RUN a # b\n'), ['RUN a # b']);
});

test('CRLF, a byte order mark and a file without a last line break are read', () => {
  assert.equal(texts('\ufeffFROM x\r\nRUN a \\\r\n b\r\n\r\nCMD c'), [
    'FROM x',
    'RUN a  b',
    'CMD c',
  ]);
});

test('a file that ends in a continuation ends the instruction', () => {
  assert.equal(texts('CMD a \\\n'), ['CMD a ']);
  assert.equal(texts('\\\nFROM x\n'), ['FROM x']);
});

test('directives are read from the top until the first other line', () => {
  const { reader, lines } = read(
    '# SYNTAX = docker/dockerfile:1 \n' +
      '  #escape=`\n' +
      '# check=skip=all\n' +
      '# x=y\n' +
      '# escape=\\\n' +
      'RUN a `\n' +
      ' b\n',
  );
  assert.is(reader.escape, '`');
  assert.is(reader.directives.syntax?.value, 'docker/dockerfile:1');
  assert.is(reader.directives.check?.range.start.line, 3);
  assert.equal(
    lines.map((line) => line.text),
    ['RUN a  b'],
  );
  for (const before of ['\n', '# comment\n', '#!/bin/sh\n', '# foo=bar\n', 'FROM x\n'])
    assert.is(read(`${before}# escape=\`\n`).reader.escape, '\\');
});

test('a repeated directive and an invalid escape are refused with their line', () => {
  for (const [text, line] of [
    ['# escape=`\n# escape=`\n', 2],
    ['# escape=x\n', 1],
  ] as const) {
    assert.throws(
      () => read(text),
      (error: KilnError) => {
        assert.is(error.code, 'KILN_DOCKERFILE_DIRECTIVE');
        return error.place?.kind === 'source' && error.place.start.line === line;
      },
    );
  }
});

test('comments right above a line belong to it, up to an empty one, without directives', () => {
  const { lines } = read(
    '# syntax=x\n# one\n#\n# two\n\n# three\nFROM a\n# four\nRUN b \\\n# five\n c\nCMD d',
  );
  assert.equal(
    lines.map((line) => line.comments),
    [['two', 'three'], ['four'], []],
  );
});

test('every character of a joined line has its position in the file', () => {
  const { lines } = read('\n  RUN ab \\\n # no\n\tcd\\\nef\n');
  const at = (char: string) => lines[0]!.positionOf(lines[0]!.text.indexOf(char));
  assert.equal(at('R'), { line: 2, column: 3 });
  assert.equal(at('b'), { line: 2, column: 8 });
  assert.equal(at('c'), { line: 4, column: 2 });
  assert.equal(at('f'), { line: 5, column: 2 });
});

test('heredoc heads are words that begin with <<, with an fd, a dash, quotes', () => {
  const heads = heredocsIn('RUN cat <<A 3<<-"B" <<\'c d\' << E <<$x x<<F <<<G "<<H" \\<<I');
  assert.equal(heads, [
    { name: 'A', chomp: false, expand: true, fd: 0 },
    { name: 'B', chomp: true, expand: false, fd: 3 },
    { name: 'c d', chomp: false, expand: false, fd: 0 },
    { name: 'E', chomp: false, expand: true, fd: 0 },
    { name: '$x', chomp: false, expand: true, fd: 0 },
  ]);
  assert.equal(heredocsIn("RUN echo 'open <<EOF"), []);
});

test('heredoc bodies are unchanged, except that <<- removes tabs', () => {
  const reader = new LineReader({
    name: 'Dockerfile',
    text: 'RUN <<A <<-B\n# x \\\r\n\ty\nA\n\t\tz\n\n\tB\nCMD c',
  });
  const line = reader.next()!;
  const [a, b] = reader.readHeredocs(heredocsIn(line.text), line.startLine);
  assert.is(a?.content, '# x \\\r\n\ty\n');
  assert.is(b?.raw, '\t\tz\n\n');
  assert.is(b?.content, 'z\n\n');
  assert.is(reader.next()?.text, 'CMD c');
});

test('megabytes in one line, or in a million continued ones, are read in linear time', () => {
  assert.is(texts(`RUN ${'x'.repeat(1 << 20)}\n`)[0]?.length, (1 << 20) + 4);
  assert.is(texts(`RUN ${' \\'.repeat(1 << 19)}x\n`)[0]?.length, (1 << 20) + 5);
  assert.is(texts(`RUN ${'a\\\n'.repeat(300_000)}`)[0]?.length, 300_004);
});

test.run();
