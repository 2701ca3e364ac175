import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cellsOf } from '../../base/cells.ts';
import { digestOf } from '../../base/digest.ts';
import type { ProgressEvent } from '../../base/progress.ts';
import { TerminalWindow } from '../../base/testing/tmux.ts';

const live = suite('the live view in a terminal');

const CHILD = join(import.meta.dirname, 'play.child.ts');
const HEAD = /^\[\+\] Building [0-9.]+s \(\d+\/\d+\)/;

/** A live view in a window of a real terminal. A test sends it events. */
class Play implements Disposable {
  readonly window: TerminalWindow;
  readonly #directory = mkdtempSync(join(tmpdir(), 'kiln-live-'));
  readonly #fifo = join(this.#directory, 'events');

  constructor(columns: number, rows: number, env: Readonly<Record<string, string>> = {}) {
    execFileSync('mkfifo', [this.#fifo]);
    this.window = new TerminalWindow({ columns, rows }, [process.execPath, CHILD, this.#fifo], {
      env,
    });
  }

  send(...messages: readonly object[]): void {
    const text = messages.map((message) => `${JSON.stringify(message)}\n`).join('');
    appendFileSync(this.#fifo, text);
  }

  /** Begins or ends the step `name`. */
  step(name: string, more: Partial<Omit<ProgressEvent & { kind: 'vertex' }, 'kind'>> = {}): void {
    this.send({
      kind: 'vertex',
      vertex: digestOf(name),
      name,
      inputs: [],
      started: Date.now(),
      ...more,
    });
  }

  log(name: string, text: string): void {
    this.send({
      kind: 'log',
      vertex: digestOf(name),
      stream: 1,
      text,
      timestamp: Date.now(),
    });
  }

  [Symbol.dispose](): void {
    this.window[Symbol.dispose]();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const heads = (rows: readonly string[]) => rows.filter((row) => HEAD.test(row)).length;

live('each width has whole times at its edge, also beside wide characters', async () => {
  for (const columns of [40, 80, 200]) {
    using play = new Play(columns, 24);
    const names = [
      '[1/3] FROM busybox',
      `[2/3] RUN ${'日本語'.repeat(40)}`,
      `[3/3] RUN e\u0301👩‍👧 x`,
    ];
    for (const name of names) play.step(name, { started: 1000, completed: 2500 });
    play.send({ outcome: 'done' });
    const rows = await play.window.until((_, text) => text.includes('ended with 0'));
    const steps = rows.filter((row) => row.startsWith(' => ['));
    assert.is(steps.length, 3, rows.join('\n'));
    for (const row of steps) {
      assert.match(row, / 1\.5s$/);
      assert.ok(cellsOf(row) >= columns - 3 && cellsOf(row) < columns, `${columns}: ${row}`);
    }
  }
});

live('a window that is made narrower, wider, lower and higher keeps one frame', async () => {
  using play = new Play(100, 20);
  for (let index = 1; index <= 12; index++) play.step(`[${index}/12] RUN step ${'x'.repeat(60)}`);
  await play.window.until((rows) => rows.some((row) => row.includes('[12/12]')));
  for (const [columns, rows] of [
    [40, 20],
    [100, 20],
    [100, 8],
    [100, 20],
    [30, 6],
    [200, 40],
  ] as const) {
    play.window.resize(columns, rows);
    const last = Math.min(12, rows - 3);
    const shown = await play.window.until((now, text) => {
      const steps = now.filter((row) => row.startsWith(' => ['));
      const fits = rows >= 14 ? steps.length === 12 : /more running/.test(text);
      return fits && heads(now) === 1 && now.every((row) => cellsOf(row) < columns);
    });
    assert.ok(shown.length >= last, shown.join('\n'));
  }
});

live('with more running steps than rows, those that are hidden are counted', async () => {
  using play = new Play(80, 10);
  for (let index = 1; index <= 30; index++) play.step(`[${index}/30] RUN step`);
  const rows = await play.window.until((_, text) => text.includes('more running'));
  const shown = rows.filter((row) => row.startsWith(' => [')).length;
  assert.match(rows.join('\n'), ` => ${30 - shown} more running`);
});

live('a line that is redrawn with carriage returns is one line with its last text', async () => {
  using play = new Play(80, 24);
  play.step('[1/1] RUN apt-get install');
  // The ways in which apt, curl and npm draw a bar.
  play.log(
    '[1/1] RUN apt-get install',
    'Reading package lists... 0%\r\rReading package lists... 1',
  );
  play.log('[1/1] RUN apt-get install', '00%\r\rReading package lists... Done\r\n');
  play.log('[1/1] RUN apt-get install', '\r  0  100    0     0\r 42  100   42     0');
  play.log('[1/1] RUN apt-get install', '\n\u001b[1G\u001b[0K⠙ idealTree\u001b[1G\u001b[0K⠹ reify');
  const rows = await play.window.until((_, text) => text.includes('reify'));
  assert.equal(
    rows.filter((row) => row.startsWith(' => => #')),
    [' => => # Reading package lists... Done', ' => => #  42  100   42     0', ' => => # ⠹ reify'],
  );
});

live('control strings and stray escapes of a step neither show nor act', async () => {
  using play = new Play(80, 24);
  play.step('[1/1] RUN x');
  play.log(
    '[1/1] RUN x',
    'a\u001b]0;title\u0007b\u001b]8;;https://x.test\u001b\\c\u001b]8;;\u001b\\d\n' +
      'e\u001b[2J\u001b[Hf\u001b(Bg\u001bMh\u001b7\u009b31mi\u000e\u0007\n' +
      '\u001bPq#0\u001b\\j\u001b',
  );
  const rows = await play.window.until((_, text) => text.includes('# j'));
  assert.equal(rows.slice(-3), [' => => # abcd', ' => => # efghi', ' => => # j']);
  assert.match(rows[0]!, HEAD);
});

live('a transfer shows its bytes, its rate and what is left, as far as there is room', async () => {
  using play = new Play(80, 24);
  play.step('pulling x');
  const begun = Date.now() - 2000;
  for (const [current, timestamp] of [
    [0, begun],
    [100e6, Date.now()],
  ] as const)
    play.send({
      kind: 'status',
      vertex: digestOf('pulling x'),
      id: 'layer',
      name: `extracting ${digestOf('layer')}`,
      current,
      total: 1000e6,
      started: begun,
      timestamp,
    });
  const wide = / => => extracting sha256:\w+ +100MB \/ 1GB [0-9.]+MB\/s \d+s left [0-9.]+s$/m;
  await play.window.until((_, text) => wide.test(text));
  play.window.resize(50, 24);
  await play.window.until((_, text) => / => => extracting sha2.* \d+s left [0-9.]+s$/m.test(text));
  play.window.resize(40, 24);
  await play.window.until((_, text) => / => => extracting sh.*[^t] [0-9.]+s$/m.test(text));
});

live('BUILDKIT_TTY_LOG_LINES says how many lines of a step are shown', async () => {
  for (const [value, count] of [
    ['2', 2],
    ['12', 12],
    ['nonsense', 6],
  ] as const) {
    using play = new Play(80, 24, { BUILDKIT_TTY_LOG_LINES: value });
    play.step('[1/1] RUN x');
    play.log('[1/1] RUN x', Array.from({ length: 30 }, (_, at) => `line ${at}\n`).join(''));
    const rows = await play.window.until((_, text) => text.includes('line 29'));
    assert.is(rows.filter((row) => row.startsWith(' => => #')).length, count, value);
  }
});

live.run();
