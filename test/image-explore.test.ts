import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TerminalWindow } from '../base/testing/tmux.ts';
import type { ImageComparison } from '../images/contents/comparison.ts';
import type { ImageContents } from '../images/contents/contents.ts';
import { KILN, Rig, run } from './rig.ts';

const explore = suite('what is in an image');

const DOCKERFILE = `
FROM busybox
RUN mkdir /d && head -c 3000000 /dev/zero >/d/big && echo one >/d/small && chmod 600 /d/small
RUN rm /d/big && echo three >/d/small && ln /d/small /d/link && ln -s big /d/to && rm -rf /usr
ENV A=b
COPY weird /w
`;
const HOSTILE = '\u001b]0;TITLE\u0007<script>';

async function made(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: DOCKERFILE, [`weird/${HOSTILE}`]: 'x', 'weird/日本語': 'yy' });
  await rig.build('c', '-t', 'app');
  return rig;
}

async function contentsOf(rig: Rig, ...args: string[]): Promise<ImageContents> {
  const ran = await rig.kiln(['image', 'explore', '--format', 'json', ...args], { expect: 0 });
  assert.is(ran.stderr, '');
  return JSON.parse(ran.stdout);
}

explore('a document names each layer, what made it, and what is wasted', async () => {
  await using rig = await made();
  const image = await contentsOf(rig, 'app');
  assert.is(image.name, 'app:latest');
  const [base, first, second, third] = image.layers;
  assert.ok(base && first && second && third);
  assert.equal([first.added, first.wasted], [{ files: 2, bytes: 3_000_004 }, 3_000_004]);
  // The names of a hard link are sorted, so link has the bytes of small.
  assert.equal(
    [second.changed, second.added],
    [
      { files: 1, bytes: 0 },
      { files: 2, bytes: 6 },
    ],
  );
  // Of the base all is left, but what it had in /usr: with small, link, to and the files of weird.
  assert.is(second.removed.files, 1 + base.added.files + 5 - image.files.files);
  assert.equal(third.added, { files: 2, bytes: 3 });
  assert.match(image.history[first.history!]!.createdBy, 'RUN /bin/sh -c mkdir /d');
  const [big, small] = image.wasted.largest;
  assert.equal(big, { path: 'd/big', bytes: 3_000_000, layers: [1], hiddenBy: 2, how: 'removed' });
  assert.equal([small?.path, small?.how], ['d/small', 'replaced']);
  assert.ok(image.efficiency > 0 && image.efficiency < 1);
});

explore('an archive says the same of an image as the store', async () => {
  await using rig = await made();
  const stored = await contentsOf(rig, 'app');
  await rig.kiln(['save', '-o', 'app.tar', 'app'], { expect: 0 });
  await rig.kiln(['copy', 'store:app', 'oci:layout:x'], { expect: 0 });
  const facts = ({ layers, files, wasted, efficiency, bytes, largest }: ImageContents) => ({
    layers: layers.map(({ added, changed, removed, bytes: size, wasted: lost }) => ({
      ...{ added, changed, removed, size, lost },
    })),
    ...{ files, wasted, efficiency, bytes, largest },
  });
  for (const place of ['docker-archive:app.tar', 'oci-archive:app.tar', 'oci:layout:x']) {
    await using other = await Rig.create();
    const env = { KILN_ROOT: other.store };
    const ran = await rig.kiln(['image', 'explore', '--format=json', place], { env, expect: 0 });
    assert.equal(facts(JSON.parse(ran.stdout)), facts(stored), place);
    // Nothing has a name afterwards.
    assert.is((await rig.kiln(['images', '-q'], { env, expect: 0 })).stdout, '');
  }
});

explore('a limit that is broken ends with 1 and a code, one that is kept with 0', async () => {
  await using rig = await made();
  const args = ['image', 'explore', 'app'];
  await rig.kiln([...args, '--max-wasted', '10MB', '--min-efficiency', '0.1'], { expect: 0 });
  for (const limit of ['--max-wasted=5%', '--max-wasted=1MB', '--min-efficiency=0.95']) {
    const ran = await rig.kiln([...args, limit], { expect: 1 });
    assert.match(ran.stderr, /\[KILN_IMAGE_LIMIT\]/);
    assert.match(ran.stdout, 'NOT KEPT');
    assert.match(ran.stdout, '/d/big');
  }
  const json = await rig.kiln([...args, '--format=json', '--max-wasted=5%'], { expect: 1 });
  assert.equal(
    JSON.parse(json.stdout).limits.map((one: { isKept: boolean }) => one.isKept),
    [false],
  );
  const wrong = await rig.kiln([...args, '--min-efficiency=2'], { expect: 2 });
  assert.match(wrong.stderr, 'KILN_FLAG_VALUE');
  const none = await rig.kiln(['image', 'explore', 'nothing'], { expect: 1 });
  assert.match(none.stderr, 'KILN_IMAGE_NOT_FOUND');
});

explore('two images are compared by files, packages, layers and config', async () => {
  await using rig = await made();
  const dpkg = (version: string) =>
    `Package: bash\nStatus: install ok installed\nVersion: ${version}\n`;
  rig.write('two', {
    Dockerfile: `
FROM app
COPY status /var/lib/dpkg/status
RUN rm /w/日本語 && chmod 755 /d/small && touch /new && rm /d/link
ENV A=c
`,
    status: dpkg('5.2'),
  });
  await rig.build('two', '-t', 'two');
  const ran = await rig.kiln(['image', 'diff', '--format', 'json', 'app', 'two'], { expect: 0 });
  const comparison: ImageComparison = JSON.parse(ran.stdout);
  assert.equal(comparison.layers, { shared: 4, removed: [], added: [4, 5] });
  assert.equal(comparison.config, [{ field: 'Env A', from: 'b', to: 'c' }]);
  assert.equal(comparison.packages.list, [{ kind: 'deb', name: 'bash', to: '5.2' }]);
  const told = new Map(comparison.files.list.map((file) => [file.path, file]));
  assert.is(told.get('w/日本語')?.change, 'removed');
  assert.is(told.get('new')?.change, 'added');
  assert.equal(told.get('d/small')?.what, ['mode']);
  const text = (await rig.kiln(['image', 'diff', 'app', 'two'], { expect: 0 })).stdout;
  assert.match(text, /^Layers: {5}4 shared, 0 removed, 2 added$/m);
  assert.match(text, /mode rw------- to rwxr-xr-x {3}\/d\/small$/m);
  const same = await rig.kiln(['image', 'diff', 'two', 'two'], { expect: 0 });
  assert.match(same.stdout, /^Changed: {4}0, \+0B$/m);
});

explore('without a terminal, or on a dumb one, a report is printed', async () => {
  await using rig = await made();
  const piped = await rig.kiln(['image', 'explore', 'app'], { expect: 0 });
  assert.match(piped.stdout, /^LAYER +SIZE +WASTED/m);
  const command = `'${KILN}' image explore app`;
  const dumb = await run(['script', '-qec', command, '/dev/null'], {
    env: { KILN_ROOT: rig.store, TERM: 'dumb' },
    expect: 0,
  });
  assert.match(dumb.stdout, /^LAYER +SIZE +WASTED/m);
  for (const { stdout } of [piped, dumb]) assert.not.match(stdout, /[\u001b\u0007]/);
});

for (const columns of [100, 40])
  explore(`on a terminal of ${columns} columns layers and files are looked through`, async () => {
    await using rig = await made();
    const size = { columns, rows: 24 };
    using window = new TerminalWindow(size, [KILN, 'image', 'explore', 'app'], {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    });
    await window.until((_, text) => text.includes('> ') && text.includes('q quit'));
    window.type('Down', 'Down', 'Tab', 'C-u');
    await window.until((_, text) => /M .*\+ d\/$/m.test(text) && !text.includes('bin/'));
    window.type('Space');
    await window.until((_, text) => /R .* {2}big$/m.test(text) && /M .*small = \//m.test(text));
    window.type('C-r');
    await window.until((_, text) => !/ 3MB .* big *$/m.test(text) && /M .*small/m.test(text));
    window.type('Tab', 'Down', 'Tab', '/', '日');
    const rows = await window.until((_, text) => /A .* 日本語 *$/m.test(text));
    for (const row of rows) assert.ok(row.length <= columns);
    window.type('Escape');
    await window.until((_, text) => text.includes('^[]0;TITLE^G<script>') || text.includes('+ w/'));
    window.resize(70, 12);
    await window.until((shown, text) => shown.length <= 12 && text.includes('│'));
    window.type('q');
    const last = await window.until((_, text) => text.includes('ended with 0'));
    assert.not.match(last.join('\n'), 'FILES');
  });

explore('Ctrl-C and a signal leave the terminal as it was', async () => {
  await using rig = await made();
  for (const end of ['key', 'signal']) {
    // The inner shell is replaced by Kiln, which has its process ID then.
    const kiln = `echo $$ >pid; exec "${KILN}" image explore app`;
    const command = `stty -g >before; sh -c '${kiln}'; echo "code $?"; stty -g >after`;
    using window = new TerminalWindow({ columns: 80, rows: 24 }, ['sh', '-c', command], {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store },
    });
    await window.until((_, text) => text.includes('q quit'));
    if (end === 'key') window.type('C-c');
    else process.kill(Number(readFileSync(rig.path('pid'), 'utf8')), 'SIGTERM');
    const rows = await window.until((_, text) => /code \d+/.test(text) && text.includes('ended'));
    assert.match(rows.join('\n'), end === 'key' ? 'code 0' : 'code 130');
    await run(['cmp', 'before', 'after'], { cwd: rig.directory, expect: 0 });
  }
});

explore.run();
