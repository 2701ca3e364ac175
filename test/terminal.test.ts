import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { TerminalWindow } from '../base/testing/tmux.ts';
import { KILN, Rig, run } from './rig.ts';

const terminal = suite('on a terminal');

/** Control sequences that a terminal obeys: a title, clearing the screen, a colour by C1. */
const HOSTILE = '\u001b]0;TITLE\u0007\u001b[2J\u009b31m';
const OBEYED = /\u001b\]|\u001b\[2J|[\u0080-\u009f]/;

/** Runs `kiln` on a pseudoterminal that reports 0 columns. Returns what the terminal gets. */
async function onTerminal(
  rig: Rig,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const command = [KILN, ...args].map((word) => `'${word}'`).join(' ');
  const ran = await run(['script', '--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: rig.directory,
    env: { KILN_ROOT: rig.store, TERM: 'xterm', ...env },
  });
  return ran.stdout;
}

terminal(
  'text of a Dockerfile, step or image is shown, in every view, and cannot control the terminal',
  async () => {
    await using rig = await Rig.create('busybox');
    const text = `FROM busybox\nLABEL x="${HOSTILE}"\nRUN echo "${HOSTILE}" >/x\n`;
    const failing = `RUN printf "\\033[32mgreen\\033[0m \\033]52;c;aGk=\\007boom\\n"; exit 3\n`;
    rig.write('c', { Dockerfile: text, Failing: text + failing });
    for (const progress of ['plain', 'tty', 'quiet', 'rawjson']) {
      const shown = await onTerminal(rig, [
        'build',
        `--progress=${progress}`,
        '-f',
        'c/Failing',
        'c',
      ]);
      assert.not.match(shown, OBEYED, progress);
      assert.match(shown, progress === 'rawjson' ? 'exit code: 3' : 'boom', progress);
      if (progress === 'plain') assert.match(shown, '\u001b[32mgreen');
    }
    await rig.build('c', '-t', 'esc');
    for (const args of [
      ['history', '--no-trunc', 'esc'],
      ['inspect', '--format', '{{.Config.Labels.x}}', 'esc'],
      ['logs'],
      ['logs', '--json'],
      ['build', '--call=outline', 'c'],
      ['debug', 'dump-llb', 'c'],
      ['debug', 'dump-llb', '--format=binary', 'c'],
    ])
      assert.not.match(await onTerminal(rig, args), OBEYED, args.join(' '));
    assert.match(
      await onTerminal(rig, ['inspect', '--format', '{{.Config.Labels.x}}', 'esc']),
      '^[]0;TITLE^G',
    );
  },
);

terminal('names of a program or directory in an image are not sent to the terminal', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `FROM busybox AS program\nCMD [${JSON.stringify(`/x${HOSTILE}`)}]\n`,
    Directory: `FROM busybox\nWORKDIR "/x${HOSTILE}"\nRUN chmod 0 .\nUSER 1\nCMD ["true"]\n`,
  });
  await rig.build('c', '-t', 'program');
  await rig.build('c', '-t', 'directory', '-f', 'c/Directory');
  for (const args of [['program'], ['-it', 'program'], ['directory'], ['-it', 'directory']]) {
    const shown = await onTerminal(rig, ['run', ...args]);
    assert.not.match(shown, OBEYED, args.join(' '));
    assert.match(shown, /has control characters in its name \[KILN_PROCESS_START\]/);
  }
});

terminal('a terminal that cannot move its cursor gets plain lines without an escape', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN printf "\\033[31mred\\033[0m\\n"\n' });
  for (const TERM of ['dumb', '']) {
    const shown = await onTerminal(rig, ['build', '--no-cache', 'c'], { TERM });
    assert.not.match(shown, '\u001b');
    assert.match(shown, /#\d+ [0-9.]+ red\r\n/);
  }
});

terminal('without a terminal nothing is drawn, whatever --progress says', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nLABEL a=b\n' });
  const ran = await rig.kiln(['build', '--progress=tty', 'c'], { expect: 0 });
  assert.not.match(ran.stderr, '\u001b');
  assert.match(ran.stderr, /^#1 /);
});

terminal('the first line says what runs and how it ended', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN false\nRUN true\nRUN true\n' });
  const failed = await onTerminal(rig, ['build', 'c']);
  const [, done, total] = /.*\[\+\] Building [0-9.]+s \((\d+)\/(\d+)\) ERROR/s.exec(failed) ?? [];
  assert.ok(Number(done) < Number(total), failed.slice(-600));
  await rig.kiln(['save', '-o', 'b.tar', 'busybox'], { expect: 0 });
  const loaded = await onTerminal(rig, ['load', '-i', 'b.tar']);
  assert.match(loaded, /\[\+\] Loading [0-9.]+s \(1\/1\) FINISHED/);
  assert.not.match(loaded, 'Building');
});

terminal('a build that is cancelled says so, and so does its log', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo begun; sleep 100\n' });
  // The shell is replaced by Kiln, so the build has its process ID.
  const command = `echo $$ >pid; exec '${KILN}' build --progress=tty c`;
  let told = false;
  const { stdout } = await run(
    ['script', '--quiet', '--return', '--command', command, '/dev/null'],
    {
      cwd: rig.directory,
      env: { KILN_ROOT: rig.store, TERM: 'xterm' },
      watch(output) {
        if (told || !output.includes('# begun')) return;
        told = true;
        process.kill(Number(readFileSync(rig.path('pid'), 'utf8')), 'SIGINT');
      },
    },
  );
  const head = stdout.slice(stdout.lastIndexOf('[+] Building'));
  assert.match(head, /^\[\+\] Building [0-9.]+s \(\d+\/\d+\) CANCELLED/);
  assert.match(head, '=> CANCELED [2/2] RUN echo begun');
  assert.match((await rig.kiln(['logs'])).stdout, /build \S+: was cancelled\n$/);
});

const size = { columns: 80, rows: 24 };

terminal(
  'in a window of 80 columns a build ends with its image, size, time and cache',
  async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo x >/x\nRUN echo y >/y\n' });
    await rig.build('c');
    rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo x >/x\nRUN echo z >/z\n' });
    const env = { KILN_ROOT: rig.store };
    using window = new TerminalWindow(size, [KILN, 'build', '-t', 'a', 'c'], {
      cwd: rig.directory,
      env,
    });
    const rows = await window.until((_, text) => text.includes('ended with 0'));
    assert.match(rows[0]!, /^\[\+\] Building [0-9.]+s \(\d+\/\d+\) FINISHED$/);
    for (const row of rows.filter((text) => text.startsWith(' => ')))
      assert.match(row, / [0-9.]+s$/);
    assert.match(
      rows.join(''),
      /a:latest sha256:[0-9a-f]{12} [0-9.]+MB, built in [0-9.]+s, 2 of 3 steps cached/,
    );
  },
);

terminal(
  'the output of a failed step says how much it is of, and how to see all of it',
  async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', { Dockerfile: 'FROM busybox\nRUN seq 1000; exit 3\n' });
    const env = { KILN_ROOT: rig.store };
    using window = new TerminalWindow({ ...size, rows: 60 }, [KILN, 'build', 'c'], {
      cwd: rig.directory,
      env,
    });
    const text = (await window.until((_, shown) => shown.includes('ended with 1'))).join('\n');
    assert.match(text, /ERROR\n/);
    assert.match(text, /------\n\(the last 20 of 1000 lines of output\)\n981\n982\n/);
    const [, id = ''] =
      /To see all that the failed step wrote:\n {2}kiln logs (\S+)/.exec(text) ?? [];
    assert.match((await rig.kiln(['logs', id], { expect: 0 })).stdout, /^#\d+ [0-9.]+ 1$/m);
  },
);

terminal(
  'bytes are told of where there are many: reading, copying, exporting, saving',
  async () => {
    await using rig = await Rig.create('busybox');
    const size = 80 << 20;
    rig.write('c', { Dockerfile: 'FROM busybox\nCOPY big /\n', big: Buffer.alloc(size, 'kiln') });
    const amount = `${(size / 1e6).toPrecision(4)}MB`;
    const built = await rig.build('c', '-t', 'a', '-o', `type=oci,dest=${rig.path('a.tar')}`);
    for (const work of ['reading context:', 'copying:'])
      assert.match(built, new RegExp(`${work} ${amount} / ${amount} [0-9.]+s done`), work);
    assert.match(built, /exporting layers 8[0-9.]+MB( \/ 8[0-9.]+MB)? [0-9.]+s done/);
    assert.match(built, /sending tarball [0-9.]+[kM]B \/ [0-9.]+[kM]B [0-9.]+s done/);
    await rig.build('c', '-t', 'a');
    const saved = await onTerminal(rig, ['save', '-o', 'saved.tar', 'a']);
    assert.match(saved, /\[\+\] Saving [0-9.]+s \(1\/1\) FINISHED/);
    assert.match(saved, /writing the archive +8[0-9.]+MB \/ 8[0-9.]+MB [0-9.]+s/);
  },
);

terminal('Ctrl-C ends a build, and its window says that it was cancelled', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo begun; sleep 1000\n' });
  const env = { KILN_ROOT: rig.store };
  using window = new TerminalWindow(size, [KILN, 'build', 'c'], { cwd: rig.directory, env });
  await window.until((rows) => rows.includes(' => => # begun'));
  window.type('C-c');
  const rows = await window.until((_, text) => /CANCELLED$/m.test(text));
  assert.match(rows[0]!, /^\[\+\] Building [0-9.]+s \(\d+\/\d+\) CANCELLED$/);
});

terminal.run();
