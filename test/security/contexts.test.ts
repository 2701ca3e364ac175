import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, Rig, run } from '../rig.ts';

/*
 * Untrusted contexts whose Dockerfile or ignore file is not a regular file, or is a link to the
 * host. No test here runs a step.
 */

const CANARY = 'canary_of_the_host';

/** Makes a context `c` that builds, and a file of the host that no output may show. */
async function withCanary(): Promise<Rig> {
  const rig = await Rig.create();
  rig.write('c', {
    Dockerfile: 'FROM scratch\nCOPY . /\n',
    'other/Dockerfile': 'FROM scratch\nCOPY . /\n',
  });
  rig.write('host', {
    token: `${CANARY}: of the host\n[${CANARY}\n`,
    'sub/Dockerfile': `${CANARY} sub\n`,
  });
  return rig;
}

/** Builds without an output. A build that waited for a FIFO would hang, and so would the test. */
async function built(
  rig: Rig,
  ...args: string[]
): Promise<{ readonly code: number | null; readonly stderr: string }> {
  const ran = await rig.kiln([
    'build',
    '--progress=plain',
    '--output=type=tar,dest=out.tar',
    ...args,
  ]);
  assert.not.match(ran.stderr + ran.stdout, new RegExp(CANARY), args.join(' '));
  return ran;
}

function replaced(rig: Rig, path: string, make: (path: string) => void): void {
  rmSync(rig.path(path), { recursive: true, force: true });
  make(rig.path(path));
}

test('a Dockerfile that leads out of its context does not exist, by any name', async () => {
  await using rig = await withCanary();
  for (const target of [
    '../host/token',
    rig.path('host/token'),
    '/proc/self/root/etc/hostname',
    '/etc/passwd',
  ]) {
    replaced(rig, 'c/Dockerfile', (path) => symlinkSync(target, path));
    for (const args of [
      ['c'],
      ['-f', 'c/Dockerfile', 'c'],
      ['-f', rig.path('c/Dockerfile'), rig.path('c')],
    ]) {
      const { code, stderr } = await built(rig, ...args);
      assert.is(code, 1);
      assert.match(
        stderr,
        /failed to read dockerfile: .*leads nowhere.*KILN_DOCKERFILE_NOT_FOUND/,
        `${target} ${args}`,
      );
    }
  }
  replaced(rig, 'c/sub', (path) => symlinkSync('../host/sub', path));
  assert.match(
    (await built(rig, '-f', 'c/sub/Dockerfile', 'c')).stderr,
    /KILN_DOCKERFILE_NOT_FOUND/,
  );
  // The same when the context is given by another path.
  symlinkSync('c', rig.path('again'));
  assert.match(
    (await built(rig, '-f', 'again/Dockerfile', 'c')).stderr,
    /KILN_DOCKERFILE_NOT_FOUND/,
  );
  // A link inside the context is followed.
  replaced(rig, 'c/Dockerfile', (path) => symlinkSync('/other/Dockerfile', path));
  assert.is((await built(rig, 'c')).code, 0);
  // A Dockerfile that the user names outside the context is trusted.
  symlinkSync('../c/other/Dockerfile', rig.path('host/own'));
  assert.is((await built(rig, '-f', 'host/own', 'c')).code, 0);
});

test('an ignore file that leads out is a warning, and no line of it is shown', async () => {
  await using rig = await withCanary();
  symlinkSync('../host/token', rig.path('c/.dockerignore'));
  for (const args of [['c'], ['--build-context', 'named=c', 'other']]) {
    rig.write('other', { Dockerfile: 'FROM scratch\nCOPY --from=named . /\n' });
    const { code, stderr } = await built(rig, ...args);
    assert.is(code, 0, stderr);
    assert.match(stderr, /\.dockerignore leads nowhere: .*"\.\.\/host\/token"/, args.join());
  }
  symlinkSync('../host/token', rig.path('c/Dockerfile.dockerignore'));
  assert.match((await built(rig, 'c')).stderr, /Dockerfile\.dockerignore leads nowhere/);
});

test('a FIFO, device or directory as a Dockerfile or ignore file is refused at once', async () => {
  await using rig = await withCanary();
  const makers: [string, (path: string) => void][] = [
    ['a FIFO', (path) => execFileSync('mkfifo', [path])],
    ['a directory', (path) => mkdirSync(path)],
  ];
  if (process.getuid?.() === 0)
    makers.push(['a device', (path) => execFileSync('mknod', [path, 'c', '1', '5'])]);
  else console.log('SKIP a device as a Dockerfile: needs root to make one');
  rig.write('named', { Dockerfile: 'FROM scratch\nCOPY --from=c . /\n' });
  for (const [what, make] of makers)
    for (const [file, args, code] of [
      ['c/Dockerfile', ['c'], 'KILN_DOCKERFILE_NOT_FOUND'],
      ['c/.dockerignore', ['c'], 'KILN_DOCKERIGNORE_UNREADABLE'],
      ['c/Dockerfile.dockerignore', ['c'], 'KILN_DOCKERIGNORE_UNREADABLE'],
      ['c/.dockerignore', ['--build-context', 'c=c', 'named'], 'KILN_DOCKERIGNORE_UNREADABLE'],
    ] as const) {
      const before = file === 'c/Dockerfile' ? 'FROM scratch\nCOPY . /\n' : undefined;
      replaced(rig, file, make);
      const { code: exit, stderr } = await built(rig, ...args);
      assert.is(exit, 1, `${what} ${file}`);
      assert.match(
        stderr,
        new RegExp(`is ${what}, not a regular file \\[${code}\\]`),
        `${what} ${file}`,
      );
      replaced(rig, file, (path) => before && writeFileSync(path, before));
    }
});

test('a pipe that the user names is read up to a limit, and waiting can be cancelled', async () => {
  await using rig = await withCanary();
  const shell = (script: string) =>
    run(['bash', '-c', script], { cwd: rig.directory, env: { KILN_ROOT: rig.store, KILN } });
  const piped = await shell(
    `"$KILN" build --output=type=tar,dest=o.tar -f <(printf 'FROM scratch\\nCOPY other /\\n') c`,
  );
  assert.is(piped.code, 0, piped.stderr);
  for (const script of [
    '-f <(yes "# endless") c',
    '-f - c < <(yes "# endless")',
    '- < <(yes "# endless")',
  ]) {
    const endless = await shell(`"$KILN" build --output=type=tar,dest=o.tar ${script}`);
    assert.is(endless.code, 1);
    assert.match(endless.stderr, /KILN_DOCKERFILE_TOO_LARGE/, script);
  }
  execFileSync('mkfifo', [rig.path('fifo')]);
  const waiting = spawn(KILN, ['build', '--progress=plain', '-f', 'fifo', 'c'], {
    cwd: rig.directory,
    env: { ...process.env, KILN_ROOT: rig.store },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  waiting.stderr.once('data', () => waiting.kill('SIGTERM'));
  const code = await new Promise((done) => waiting.once('close', done));
  assert.is(code, 130);
});

test('an archive whose Dockerfile is a FIFO, a directory or a dead link is refused', async () => {
  await using rig = await withCanary();
  for (const [make, why] of [
    [(path: string) => execFileSync('mkfifo', [path]), /is a FIFO/],
    [(path: string) => mkdirSync(path), /is a directory/],
    [(path: string) => symlinkSync('../host/token', path), /leads nowhere/],
  ] as const) {
    replaced(rig, 'c/Dockerfile', make);
    const ran = await rig.kiln(['build', '-'], {
      stdin: execFileSync('tar', ['-C', rig.path('c'), '-c', '.']),
    });
    assert.is(ran.code, 1);
    assert.match(ran.stderr, why);
    assert.match(ran.stderr, /KILN_DOCKERFILE_NOT_FOUND/);
  }
});

test('a secret from a broken link, a directory or an endless file is refused by name', async () => {
  await using rig = await withCanary();
  symlinkSync('gone', rig.path('broken'));
  mkdirSync(rig.path('directory'));
  const { stderr } = await rig.kiln(['build', '--secret', 'id=s,src=broken', 'c'], { expect: 2 });
  assert.match(stderr, /a link to "gone".*KILN_SECRET_NOT_FOUND/s);
  const ssh = await rig.kiln(['build', '--ssh', 'default=broken', 'c'], { expect: 2 });
  assert.match(ssh.stderr, /a link to "gone".*KILN_SSH_AGENT/s);
});

test.run();
