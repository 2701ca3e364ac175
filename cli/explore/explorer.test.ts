import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cellsOf } from '../../base/cells.ts';
import { imageContents } from '../../images/contents/image-contents.ts';
import type { OpenContents } from '../../images/contents/open-contents.ts';
import { MadeContents } from '../../images/contents/testing.ts';
import type { Member } from '../../snapshotter/layer/archive.fixture.ts';
import { drawExplorer } from './draw.ts';
import { Explorer } from './explorer.ts';
import { checkLimits, parseMaxWasted, parseMinEfficiency, requireLimits } from './image-limits.ts';
import { imageReport } from './image-report.ts';
import { keysIn } from './keys.ts';
import { modeText } from './mode-text.ts';

const dir = (path: string): Member => ({ path: `${path}/`, type: 'directory' });
const file = (path: string, content = 'x'): Member => ({ path, content });

const LAYERS: readonly (readonly Member[])[] = [
  [dir('etc'), file('etc/a'), file('etc/b', 'bb'), dir('usr'), file('usr/same')],
  [dir('etc'), file('etc/a', 'longer'), { path: 'etc/.wh.b' }, dir('new'), file('new/n', 'nnn')],
];

/** The names of the files that are shown, with the letters of their changes. */
function shown(contents: OpenContents, explorer: Explorer, size = { columns: 120, rows: 20 }) {
  return drawExplorer(explorer, imageContents(contents), size, false)
    .slice(2, -1)
    .map((line) => line.split('│')[1] ?? '')
    .map((line) => line.replace(/\u001b\[[0-9;]*m/g, ''))
    .flatMap((line) => {
      const [, letter, name] = /^([AMR ]) \S+ \S+\s+\S+ (.*)$/.exec(line.trimEnd()) ?? [];
      return name === undefined ? [] : [`${letter} ${name}`];
    });
}

function pressed(explorer: Explorer, input: string): void {
  for (const key of keysIn(input)) explorer.press(key);
}

test('the keys of dive do what they do there', async () => {
  using made = new MadeContents();
  const contents = await made.of(LAYERS);
  const explorer = new Explorer(contents);
  assert.equal(shown(contents, explorer), ['A + etc/', 'A + usr/']);
  pressed(explorer, '\u001b[B');
  assert.equal(shown(contents, explorer), ['M + etc/', 'A + new/', '  + usr/']);
  pressed(explorer, '\t ');
  assert.equal(shown(contents, explorer), [
    'M - etc/',
    'M     a',
    'R     b',
    'A + new/',
    '  + usr/',
  ]);
  pressed(explorer, '\u0015');
  assert.equal(shown(contents, explorer).at(-1), 'A + new/');
  pressed(explorer, '\u0001');
  assert.equal(shown(contents, explorer), ['M - etc/', 'M     a', 'R     b']);
  pressed(explorer, '\u0012');
  assert.equal(shown(contents, explorer), ['M - etc/', 'M     a']);
  pressed(explorer, '\r');
  assert.equal(shown(contents, explorer), []);
  pressed(explorer, '\u0015\u0001\u0012\r');
  pressed(explorer, '\u0000');
  assert.equal(shown(contents, explorer), ['M + etc/', 'A + new/', '  + usr/']);
  pressed(explorer, '\u0000');
  assert.is(shown(contents, explorer).length, 7);
  assert.not(explorer.isDone);
  pressed(explorer, 'q');
  assert.ok(explorer.isDone);
});

test('all changes since the first layer can be shown, or those of one layer', async () => {
  using made = new MadeContents();
  const contents = await made.of([[file('a')], [file('b')], [file('c')]]);
  const explorer = new Explorer(contents);
  pressed(explorer, '\u001b[F\u0001');
  assert.equal(shown(contents, explorer), ['    a', 'A   b', 'A   c']);
  pressed(explorer, '\u000c');
  assert.equal(shown(contents, explorer), ['    a', '    b', 'A   c']);
});

test('a filter shows what it names with the directories around it', async () => {
  using made = new MadeContents();
  const contents = await made.of(LAYERS);
  const explorer = new Explorer(contents);
  pressed(explorer, '\u001b[B/sam');
  assert.ok(explorer.isTyping);
  assert.equal(shown(contents, explorer), ['  - usr/', '      same']);
  pressed(explorer, 'q\u007fe\r');
  assert.not(explorer.isTyping);
  assert.not(explorer.isDone);
  assert.equal(shown(contents, explorer), ['  - usr/', '      same']);
  pressed(explorer, '\u001b');
  assert.is(explorer.filter, '');
  pressed(explorer, '\u0006new\u001b[B');
  assert.equal(shown(contents, explorer), ['A - new/', 'A     n']);
});

test('the cursor stays on its path, goes to the parent, and never out of the list', async () => {
  using made = new MadeContents();
  const contents = await made.of(LAYERS);
  const explorer = new Explorer(contents);
  pressed(explorer, '\u001b[B\t\u001b[C\u001b[B\u001b[B');
  const under = () => contents.tree.pathOf(explorer.rows[explorer.cursor]!.node);
  assert.is(under(), 'etc/b');
  pressed(explorer, 's');
  assert.is(under(), 'etc/b');
  pressed(explorer, '\u001b[D');
  assert.is(under(), 'etc');
  pressed(explorer, '\u001b[D\u001b[6~\u001b[6~');
  assert.is(under(), 'usr');
  pressed(explorer, '\u001b[5~\u001b[A\u001b[A\u001b[D');
  assert.is(explorer.pane, 'layers');
});

test('every row is as wide as the window, whatever names there are', async () => {
  using made = new MadeContents();
  const deep = Array.from({ length: 40 }, (_, at) => dir('deep/'.repeat(at + 1).slice(0, -1)));
  const contents = await made.of([
    [
      file('日本語のとても長いファイル名です日本語のとても長いファイル名です'),
      file('\udcff\u001b[2J\u202e\nx'),
      file('e\u0301\u200d👩‍👩‍👧'),
      ...deep,
    ],
  ]);
  const explorer = new Explorer(contents);
  pressed(explorer, '\t\u0000\u0000\u0000');
  const image = imageContents(contents);
  for (const columns of [1, 2, 20, 40, 59, 60, 80, 133, 200])
    for (const rows of [3, 5, 24])
      for (const pane of ['files', 'layers'] as const) {
        explorer.pane = pane;
        const lines = drawExplorer(explorer, image, { columns, rows }, true);
        assert.is(lines.length, rows);
        for (const line of lines) {
          const text = line.replace(/\u001b\[[0-9;]*m/g, '');
          assert.not.match(text, /[\u0000-\u001f\u007f-\u009f\u202e]/);
          assert.ok(text.isWellFormed());
          assert.is(cellsOf(text), columns, JSON.stringify([text, columns, rows, pane]));
        }
      }
});

test('keys that mean nothing are left out, and pasted text is text', () => {
  const names = (input: string) =>
    keysIn(input).map((key) => (key.kind === 'key' ? key.name : `'${key.text}'`));
  assert.equal(names('\u001bOA\u001b[1;5B\u001b[200~\u001bx\u001b[15~'), ['up', 'down']);
  assert.equal(names('a\u007fb é\u0003\u001b'), ["'a'", 'backspace', "'b é'", 'ctrl-c', 'escape']);
  assert.equal(names('\u001b[H\u001b[4~\u001b[Z\u0000\u001f'), [
    'home',
    'end',
    'tab',
    'ctrl-space',
    'ctrl-/',
  ]);
});

test('limits are sizes or shares, and one that is reached exactly is kept', () => {
  assert.equal(parseMaxWasted('5%'), { share: 0.05 });
  assert.equal(parseMaxWasted('1k'), { bytes: 1024 });
  assert.equal([parseMinEfficiency('0.95'), parseMinEfficiency('95 %')], [0.95, 0.95]);
  for (const wrong of ['', 'x', '1.5', '101%', '-1'])
    assert.throws(
      () => parseMinEfficiency(wrong),
      (error: { code: string }) => error.code === 'KILN_FLAG_VALUE',
    );
  assert.throws(
    () => parseMaxWasted('many'),
    (error: { code: string }) => error.code === 'KILN_FLAG_VALUE',
  );
  const wasted = { bytes: 1024, share: 0.05, paths: 1, largest: [] };
  const results = checkLimits(
    { wasted, efficiency: 0.9 },
    { maxWasted: { bytes: 1024 }, minEfficiency: 0.9 },
  );
  assert.equal(
    results.map(({ isKept }) => isKept),
    [true, true],
  );
  requireLimits(results);
  const broken = checkLimits(
    { wasted, efficiency: 0.8 },
    { maxWasted: { share: 0.04 }, minEfficiency: 0.9 },
  );
  assert.throws(
    () => requireLimits(broken),
    (error: { code: string; message: string }) =>
      error.code === 'KILN_IMAGE_LIMIT' &&
      error.message ===
        '5 % of what is above the first layer is wasted, more than 4 %, ' +
          'and the efficiency of the image is 80 %, less than 90 %',
  );
});

test('a report has one line for a name with a line feed, and no control characters', async () => {
  using made = new MadeContents();
  const contents = await made.of(
    [[file('a\n\u001b[31mb\udcfe', 'x'.repeat(9))], [{ path: '.wh.a\n\u001b[31mb\udcfe' }]],
    {
      history: [{ created_by: 'RUN one\n\u001b]0;two\u0007' }],
    },
  );
  const report = imageReport(imageContents(contents), []);
  assert.not.match(report, /[\u0000-\u0009\u000b-\u001f]/);
  assert.match(report, '9B       0        removed in 1   /a ^[[31mb\\xfe\n');
});

test('modes are shown as ls shows them', () => {
  assert.equal(
    [modeText(0o755, 'directory'), modeText(0o4755), modeText(0o2640, 'file'), modeText(0o1777)],
    ['drwxr-xr-x', 'rwsr-xr-x', '-rw-r-S---', 'rwxrwxrwt'],
  );
});

test.run();
