import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, mountsBelow, Rig, run } from './rig.ts';

const root = process.getuid?.() === 0;
const real = (name: string, body: () => Promise<void>) => {
  if (!root) console.log(`SKIP ${name}: needs root`);
  else test(name, body);
};

const FAILING = `
FROM busybox AS base
RUN echo 'app:x:1000:1000::/home:/bin/sh' >/etc/passwd
FROM base AS tests
ARG SPEED=fast
WORKDIR /src
RUN mkdir -m 777 /out && chown 1000 /src
USER app
RUN --mount=type=secret,id=token --mount=type=cache,target=/cache,mode=0777 \
--mount=type=tmpfs,target=/mem \\
  echo made >/src/made && echo kept >/cache/kept && mkdir -p reports/deep && \
echo one >reports/one && echo two >reports/deep/two && \\
  ln -s /etc/shadow reports/link && echo x >reports/setid && chmod 6755 reports/setid && \
mkfifo reports/fifo && ln -s reports /src/ways && exit 3
FROM busybox
COPY --from=tests /src /src
`;

/** Runs a build on a pseudoterminal, with `typed` as its input. */
async function onTerminal(rig: Rig, typed: string, args: readonly string[]) {
  const command = [KILN, 'build', ...args].map((word) => `'${word}'`).join(' ');
  return await run(['script', '--quiet', '--return', '--command', command, '/dev/null'], {
    cwd: rig.directory,
    env: { KILN_ROOT: rig.store, TERM: 'dumb', TOKEN: 'hunter2' },
    stdin: typed,
  });
}

for (const progress of ['plain', 'tty'])
  real(
    `--on-error=shell opens a shell in the failed step, and the build fails (${progress})`,
    async () => {
      await using rig = await Rig.create('busybox');
      rig.write('c', { Dockerfile: FAILING });
      const typed = [
        'echo "I am $(id -u) in $(pwd) at $SPEED"',
        'cat made /cache/kept /run/secrets/token && stat -f -c "mem is %T" /mem',
        'exit 0',
      ].join('\n');
      const ran = await onTerminal(rig, `${typed}\n`, [
        `--progress=${progress}`,
        '--on-error=shell',
        '--secret=id=token,env=TOKEN',
        rig.path('c'),
      ]);
      assert.is(ran.code, 1, ran.stdout);
      assert.match(ran.stdout, /I am 1000 in \/src at fast/);
      assert.match(ran.stdout, /made\r\nkept\r\nhunter2/);
      assert.match(ran.stdout, /mem is tmpfs/);
      assert.match(ran.stdout, /KILN_STEP_FAILED/);
      // The error is shown after the shell has ended, and not in the shell.
      assert.ok(ran.stdout.indexOf('KILN_STEP_FAILED') > ran.stdout.indexOf('I am 1000'));
      assert.equal(mountsBelow(rig.directory), []);
      // The hint to use --on-error=shell is left out, because the flag was given.
      assert.not.match(ran.stdout, /To open a shell in the failed step/);
      // The changes made in the shell are gone, so the step runs again from its beginning.
      const again = await rig.kiln(['build', '--progress=plain', rig.path('c')]);
      assert.is(again.code, 1);
      assert.match(again.stderr, /exit code: 3/);
    },
  );

real('without a terminal no shell is opened, and a message says so', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: FAILING });
  const ran = await rig.kiln(['build', '--progress=plain', '--on-error=shell', 'c']);
  assert.is(ran.code, 1);
  assert.match(ran.stderr, /no shell is opened: standard input and output are not a terminal/);
});

real(
  '--output-on-error keeps files of the failed step: no links out, no setuid, nothing of mounts',
  async () => {
    await using rig = await Rig.create('busybox');
    rig.write('c', { Dockerfile: FAILING });
    rig.write('kept', { before: 'stays\n' });
    const spec = `--output-on-error=${rig.path('kept')},ways,/out,/cache,/nothing,../src/made`;
    const ran = await rig.kiln(['build', '--progress=plain', spec, 'c']);
    assert.is(ran.code, 1);
    assert.match(ran.stderr, /saved 4 files of the failed step in .*kept/);
    const names = readdirSync(rig.path('kept'), { recursive: true }).map(String).sort();
    assert.equal(names, [
      'before',
      // A mount point that Kiln made for the step is not in the list.
      'out',
      'src',
      'src/made',
      'src/reports',
      'src/reports/deep',
      'src/reports/deep/two',
      'src/reports/one',
      'src/reports/setid',
    ]);
    assert.is(readFileSync(rig.path('kept/src/reports/deep/two'), 'utf8'), 'two\n');
    const setid = statSync(rig.path('kept/src/reports/setid'));
    assert.equal([setid.mode & 0o7777, setid.uid], [0o755, 0]);
  },
);

real('links in the directory that --output-on-error names are not followed', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: FAILING });
  rig.write('kept', { a: '' });
  rig.write('elsewhere', { canary: 'alive' });
  symlinkSync(rig.path('elsewhere'), rig.path('kept/src'));
  await rig.kiln(['build', '--progress=plain', `--output-on-error=${rig.path('kept')},/src`, 'c']);
  assert.equal(readdirSync(rig.path('elsewhere')), ['canary']);
  assert.ok(lstatSync(rig.path('kept/src')).isDirectory());
});

real('a message says that nothing was kept, and a build that succeeds keeps nothing', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: FAILING });
  const none = await rig.kiln([
    'build',
    '--progress=plain',
    `--output-on-error=${rig.path('kept')},/nowhere`,
    'c',
  ]);
  assert.is(none.code, 1);
  assert.match(none.stderr, /no files of the failed step were saved: it has no \/nowhere/);
  rig.write('good', { Dockerfile: 'FROM busybox\nRUN mkdir /src\n' });
  await rig.build('good', `--output-on-error=${rig.path('kept')},/src`);
  assert.not.ok(existsSync(rig.path('kept')));
});

real('the hint of a failed build is a command without values that look like secrets', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('my c', { Dockerfile: FAILING });
  writeFileSync(rig.path('t'), 'x');
  const ran = await rig.kiln(
    [
      ...[
        'build',
        '--progress=plain',
        '-t',
        'x',
        '--build-arg',
        'SPEED=slow',
        '--build-arg=NPM_TOKEN=hunter2',
        '--no-cache',
      ],
      ...['--secret', 'id=token,src=t', '--output=type=oci,dest=o.tar', 'my c'],
    ],
    { env: { TOKEN: 'y' } },
  );
  assert.is(ran.code, 1);
  const command = /To open a shell in the failed step:\n {2}(.*)\n/.exec(ran.stderr)?.[1];
  assert.is(
    command,
    'kiln build --target tests --on-error=shell --build-arg SPEED=slow --build-arg ' +
      "NPM_TOKEN --secret id=token,src=t 'my c'",
  );
  const piped = await rig.kiln(['build', '--progress=plain', '-'], {
    stdin: 'FROM busybox\nRUN false\n',
  });
  assert.is(piped.code, 1);
  assert.not.match(piped.stderr, /To look at/);
  const single = await rig.kiln(['build', '--progress=plain', '-f', 'D', '.'], {
    cwd: rig.write('s', { D: 'FROM busybox\nRUN false\n' }),
  });
  assert.match(single.stderr, /\n {2}kiln build --on-error=shell -f D \.\n/);
});

test('the error for a wrong value names the flag', async () => {
  const shell = await run([KILN, 'build', '--on-error=vim', '.']);
  assert.is(shell.code, 2);
  assert.match(shell.stderr, /--on-error[\s\S]*write --on-error=shell/);
  const output = await run([KILN, 'build', '--output-on-error=dir', '.']);
  assert.is(output.code, 2);
  assert.match(output.stderr, /--output-on-error[\s\S]*DIR,PATH/);
});

test.run();
