import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { generatedBuild } from '../builds-fixture.ts';
import { durationText, momentText } from './amounts.ts';
import { seenText, styledPieces } from './ansi.ts';
import { layoutGraph } from './graph-layout.ts';
import { visible } from './hostile-text.ts';
import { seenParts } from './key-text.ts';
import { placeFromText, placeText } from './page-place.ts';
import { panned, ticksOf, zoomed } from './time-window.ts';
import { squarified } from './treemap.ts';

test('colours and weights of a line become classes, and end where they end', () => {
  const pieces = styledPieces('a\u001b[1;31mb\u001b[22mc\u001b[39md\u001b[38;5;196me\u001b[m');
  assert.equal(
    pieces.map(({ text, classes, color }) => [text, classes.join(' '), color]),
    [
      ['a', '', undefined],
      ['b', 'bold fg-1', undefined],
      ['c', 'fg-1', undefined],
      ['d', '', undefined],
      ['e', '', 'rgb(255 0 0)'],
    ],
  );
});

test('a colour of a line is no way to write other CSS', () => {
  for (const code of ['38;2;1);x:url(a;2;3', '38;2;999;-1;1e9', '38;5;9999', '38;2', '38', '48;5'])
    for (const { color = '', background = '' } of styledPieces(`\u001b[${code}mx`))
      assert.match(color + background, /^(?:rgb\(\d{1,3} \d{1,3} \d{1,3}\))?$/);
});

test('sequences that are no colour are dropped, and of a redrawn line the last text stays', () => {
  assert.is(
    seenText('\u001b[2J\u001b[1;1Ha\u001b]0;title\u0007b\u001b]8;;http://x\u001b\\c'),
    'abc',
  );
  assert.is(seenText('10%\r50%\r100%\r'), '100%');
  assert.is(seenText('\u001b]0;no end'), '');
  assert.is(seenText('\u001b'), '⟨001B⟩');
});

test('a line of sequences alone is read in a time that its length allows', () => {
  const line = '\u001b[31m'.repeat(200_000);
  assert.is(seenText(`${line}end`), 'end');
});

test('what turns or hides text is written out', () => {
  assert.is(visible('a\u202eb\u0000c\u200bd'), 'a⟨202E⟩b⟨0000⟩c⟨200B⟩d');
  assert.is(visible('name-\udcff-\ud83d\ude00'), 'name-\\xff-\ud83d\ude00');
  assert.is(visible(visible('\u202e')), visible('\u202e'));
});

test('each step of a graph is below what it needs, and no two are in one place', () => {
  for (const count of [1, 5, 200, 2000]) {
    const view = generatedBuild({ steps: count });
    const { nodes, edges } = layoutGraph(view);
    assert.is(nodes.size, count);
    for (const [from, to] of edges) assert.ok(nodes.get(from)!.row < nodes.get(to)!.row);
    const places = new Set([...nodes.values()].map(({ column, row }) => `${column} ${row}`));
    assert.is(places.size, count);
  }
});

test('a graph with circles and with inputs that are not there is laid out all the same', () => {
  const { steps } = generatedBuild({ steps: 30 });
  const wrong = steps.map((step, index) => ({
    ...step,
    inputs: [(index + 7) % 30, index, 99, -1],
  }));
  const { nodes } = layoutGraph({ steps: wrong });
  assert.is(nodes.size, 30);
});

test('a window of time is zoomed around a moment, and stays inside the build', () => {
  const whole = { from: 0, to: 1000 };
  assert.equal(zoomed(whole, whole, 0.5, 250), { from: 125, to: 625 });
  assert.equal(zoomed({ from: 900, to: 1000 }, whole, 4, 1000), { from: 600, to: 1000 });
  assert.equal(zoomed(whole, whole, 2), whole);
  assert.equal(panned({ from: 0, to: 100 }, whole, -1), { from: 0, to: 100 });
  const tiny = zoomed({ from: 10, to: 11 }, whole, 0.01);
  assert.ok(tiny.to - tiny.from >= 5);
  assert.equal(ticksOf({ from: 1000, to: 2000 }, 900, 5), [1100, 1300, 1500, 1700, 1900]);
});

test('the tiles of a treemap fill it without overlap, each as large as its size', () => {
  const sizes = [600, 300, 200, 100, 50, 50, 0];
  const tiles = squarified(sizes, 100, 52);
  assert.is(tiles.length, 6);
  for (const { index, x, y, width, height } of tiles) {
    assert.ok(Math.abs((width * height) / 5200 - sizes[index]! / 1300) < 1e-9);
    assert.ok(x >= 0 && y >= 0 && x + width <= 100.001 && y + height <= 52.001);
  }
  assert.equal(squarified([], 100, 52), []);
  assert.equal(squarified([0], 100, 52), []);
});

test('an address leads to the place that it was made of, and any other to the list', () => {
  const places = [
    { kind: 'builds' },
    { kind: 'cache' },
    { kind: 'build', id: 'a/b?c#d%', tab: 'log', step: 3, line: 4 },
    { kind: 'build', id: 'x', tab: 'graph' },
  ] as const;
  for (const to of places) assert.equal(placeFromText(placeText(to)), to);
  for (const text of ['', '#', '#/x', '#/build', '#/build/'])
    assert.equal(placeFromText(text), { kind: 'builds' });
  assert.equal(placeFromText('#/build/%E0%A4%A/none?step=-1'), {
    kind: 'build',
    id: '%E0%A4%A',
    tab: 'timeline',
  });
});

test('durations and moments read well', () => {
  const texts = [0, 340, 4200, 12_345, 59_999, 65_000, 7_380_000].map(durationText);
  assert.equal(texts, ['0 ms', '340 ms', '4.2 s', '12 s', '1 min 0 s', '1 min 5 s', '2 h 3 min']);
  assert.is(momentText(62_345), '1:02.345');
});

test('no file of the page makes markup of text', () => {
  for (const file of globSync('*.ts', { cwd: import.meta.dirname })) {
    if (/\.test\.ts$|-fixture\.ts$/.test(file)) continue;
    const text = readFileSync(join(import.meta.dirname, file), 'utf8');
    const code = text.replace(/^\s*(?:\/?\*.*|\/\/.*)$/gm, '');
    const markup =
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|srcdoc/;
    assert.not.match(code, markup, file);
  }
});

test('the parts of a key are told in few words, and hostile ones as they are', () => {
  const copy =
    '{"version":1,"kind":"copy","wiring":[0,1,0],"dest":"/w/","mode":-1,"unpack":false,' +
    '"owner":[1,1],"include":[],"createDestPath":true}';
  assert.equal(
    seenParts([
      { name: 'copy', value: copy },
      { name: 'command', value: '["/bin/sh","-c","echo hi"]' },
      { name: 'user', value: '' },
      { name: 'network', value: '0' },
      { name: 'network', value: '2' },
      { name: 'devices', value: '[]' },
      { name: 'mount /c', value: '[1,["cache",-1,"/c"]]' },
      { name: 'mount /d', value: '[1' },
      { name: 'environment X', value: 'X={"a":1}' },
      { name: 'input 0', value: '{"a":' },
    ]).map(({ name, value }) => `${name} = ${value}`),
    [
      'copy = dest: /w/, owner: [1,1], createDestPath',
      'command = /bin/sh -c "echo hi"',
      'network = 2',
      'mount /c = cache',
      'mount /d = [1',
      'environment X = X={"a":1}',
      'input 0 = {"a":',
    ],
  );
});

test.run();
