import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig } from './rig.ts';

/* Large Dockerfiles and command lines, as a program may write them. */

test('a thousand findings are shown, and the log of a build has the Dockerfile once', async () => {
  await using rig = await Rig.create();
  rig.write('c', {
    Dockerfile: `FROM scratch\nLABEL u=https://user:pass@host/\n${'CMD x\n'.repeat(48_000)}`,
  });
  const checked = await rig.kiln(['build', '--check', 'c'], { expect: 1 });
  assert.is(checked.stdout.split('WARNING: JSONArgsRecommended').length - 1, 1001);
  assert.match(checked.stdout, 'Only the first 1000 findings of JSONArgsRecommended are shown');
  assert.not.match(checked.stdout, 'user:pass');
  await rig.build('c', '--output=type=cacheonly');
  const logs = join(rig.store, 'logs');
  const records = readdirSync(logs, { withFileTypes: true }).filter((entry) => entry.isFile());
  const log = readFileSync(join(logs, records.at(-1)!.name), 'utf8');
  assert.ok(log.length < 3_000_000, `${log.length} characters`);
  assert.not.match(log, 'user:pass');
  const replayed = await rig.kiln(['logs']);
  assert.match(replayed.stdout + replayed.stderr, /JSONArgsRecommended: .* \(line 1002\)/);
});

test('thousands of build arguments and labels get into the image', async () => {
  await using rig = await Rig.create();
  const numbers = Array.from({ length: 2000 }, (_, at) => at);
  rig.write('c', {
    Dockerfile: `FROM scratch\n${numbers.map((at) => `ARG A${at}\nENV E${at}=$A${at}\n`).join('')}`,
  });
  const flags = numbers.flatMap((at) => [
    '--build-arg',
    `A${at}=v${at}`,
    '--label',
    `l${at}=w${at}`,
  ]);
  await rig.build('c', '-t', 'many', ...flags);
  const { stdout } = await rig.kiln(['image', 'inspect', 'many']);
  const text = JSON.stringify(JSON.parse(stdout));
  assert.match(text, '"E1999=v1999"');
  assert.match(text, '"l1999":"w1999"');
});

test('thousands of names of one image are stored at once', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nLABEL a=b\n' });
  const tags = Array.from({ length: 2000 }, (_, at) => ['-t', `app:${at}`]).flat();
  await rig.build('c', ...tags);
  const mirror = JSON.parse(readFileSync(join(rig.store, 'images.json'), 'utf8')) as object[];
  assert.is(mirror.length, 2000);
  const { stdout } = await rig.kiln(['images']);
  assert.match(stdout, /app +1999/);
});

test.run();
