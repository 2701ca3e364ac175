import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, ROOT, run } from './rig.ts';

test('the packed tarball installs globally and its kiln starts with the shipped Node', async () => {
  const prefix = mkdtempSync(join(tmpdir(), 'kiln-package-'));
  try {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', prefix], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const tarball = readdirSync(prefix).find((name) => name.endsWith('.tgz')) ?? '';
    execFileSync(
      'npm',
      [
        'install',
        '--global',
        '--prefix',
        prefix,
        '--ignore-scripts',
        '--omit=dev',
        '--no-audit',
        '--no-fund',
        '--loglevel=error',
        join(prefix, tarball),
      ],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    const ran = await run([join(prefix, 'bin/kiln'), '--version'], { env: { PATH: '/usr/bin:/bin' }, expect: 0 });
    assert.match(ran.stdout, /^kiln version \d+\.\d+\.\d+\n$/);
    const node = await run([join(prefix, 'bin/kiln'), 'doctor'], { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
    assert.match(node.stdout, /node +24\./);
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
});

test('the launcher works through a symlink', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kiln-link-'));
  try {
    symlinkSync(KILN, join(directory, 'k'));
    await run([join(directory, 'k'), '--version'], { cwd: '/', expect: 0 });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

const old = ['/usr/bin/node', '/usr/local/bin/node'].find(
  (path) => existsSync(path) && /^v(1\d|20)\./.test(execFileSync(path, ['--version'], { encoding: 'utf8' })),
);
if (!old) console.log('SKIP an old Node is refused with a sentence: this machine has no Node older than 22');
else {
  test('an old Node is refused with a sentence', async () => {
    const ran = await run([KILN, '--version'], { env: { KILN_NODE: old } });
    assert.is(ran.code, 1);
    assert.match(ran.stderr, /^kiln: Node \d+\.\d+\.\d+ is too old: Kiln needs 22\.19 or later\./);
    assert.not.match(ran.stderr, /\n {4}at /);
  });
}

test.run();
