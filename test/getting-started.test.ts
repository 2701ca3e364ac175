import { chmodSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hostPlatform } from '../registry/platforms.ts';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { KILN, Rig, ROOT, run } from './rig.ts';

/** The shell blocks of docs/getting-started.md below the heading with this number. */
function blocks(section: number): string {
  const page = readFileSync(join(ROOT, 'docs/getting-started.md'), 'utf8');
  const [, text = ''] = new RegExp(`^## ${section}\\. .*?\\n(.*?)(?=^## )`, 'ms').exec(page) ?? [];
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('');
}

/**
 * Fills a registry in place of Docker Hub. It has busybox for this processor, and another image of
 * that name for the other processor.
 */
async function hub(rig: Rig, host: string, other: string): Promise<void> {
  const context = rig.write('stub', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  await rig.kiln(['push', '-q', 'busybox', `${host}/parts:own`], { expect: 0 });
  await rig.kiln(
    ['build', '-q', '--platform', other, '-t', `${host}/parts:other`, '--push', context],
    { expect: 0 },
  );
  const parts = [`${host}/parts:own`, `${host}/parts:other`];
  await rig.kiln(['imagetools', 'create', '-t', `${host}/library/busybox`, ...parts], {
    expect: 0,
  });
  await rig.kiln(['rmi', 'busybox'], { expect: 0 });
}

const skip = registryMissing();
if (skip) console.log(`SKIP getting started: ${skip}`);
else {
  test('every command of the page of the first ten minutes works as it is written', async () => {
    await using registry = await startRegistry();
    const { host } = registry;
    await using rig = await Rig.create('busybox');
    const own = hostPlatform().architecture;
    await hub(rig, host, own === 'amd64' ? 'linux/arm64' : 'linux/amd64');
    rig.write('.', {
      'kiln.toml':
        '[registry."docker.io"]\n' +
        `mirrors = ["${host}"]\n` +
        `[registry."${host}"]\n` +
        'http = true\n',
    });
    rig.write('bin', { sudo: '#!/bin/sh\nexec "$@"\n' });
    chmodSync(rig.path('bin/sudo'), 0o755);
    symlinkSync(KILN, rig.path('bin/kiln'));
    const env = {
      KILN_ROOT: rig.store,
      KILN_CONFIG: rig.path('kiln.toml'),
      PATH: `${rig.path('bin')}:${process.env['PATH']}`,
    };
    const type = (script: string) =>
      run(['bash', '-euc', script.replaceAll('127.0.0.1:5000', host)], {
        cwd: rig.path(),
        env,
        expect: 0,
      });

    await type(blocks(2));
    const again = await run([KILN, 'build', '--progress=plain', '.'], {
      cwd: rig.path('hello'),
      env,
      expect: 0,
    });
    assert.match(again.stderr, /CACHED/);
    const shown = await type(blocks(3));
    assert.match(shown.stdout, new RegExp(`^hello from ${own}\nREPOSITORY .*\nhello +latest `));
    assert.match(blocks(4), /addr: 127\.0\.0\.1:5000\n/);
    const pushed = await type(`cd hello\n${blocks(5)}`);
    for (const platform of ['linux/amd64', 'linux/arm64'])
      assert.match(pushed.stdout, new RegExp(`Platform: +${platform}\n`));
    // The last commands of the page, with another registry.
    await type(blocks(6).replace(/^(?:kill|sudo rm) .*\n/gm, ''));
    const left = await run([KILN, 'images', '--all', '--quiet'], { env, expect: 0 });
    assert.is(left.stdout, '');
  });
}

test.run();
