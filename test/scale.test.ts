import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, Rig, ROOT, run, testImage } from './rig.ts';

/* docs/scale.md as it is written, on this machine. Its cluster needs network namespaces. */

const ready = process.getuid?.() === 0 && process.arch === 'x64';
if (!ready) console.log('SKIP scale: needs root on an amd64 host');

/** The shell blocks below a heading of the page. */
function blocks(heading: string): string {
  const page = readFileSync(join(ROOT, 'docs/scale.md'), 'utf8');
  const [, text = ''] = new RegExp(`^## ${heading}\\n(.*?)(?=^## )`, 'ms').exec(page) ?? [];
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join('');
}

test('a cluster on one machine runs steps as the page says', async () => {
  if (!ready) return;
  await using rig = await Rig.create();
  // Addresses that no cluster of somebody else has.
  const net = `10.214.${process.pid % 250}`;
  const script = blocks('Try it on one machine').replaceAll('10.213.7', net);
  assert.match(script, /cluster\.sh up .*cluster\.sh down/s);
  rig.write('.', {
    'page.sh': `set -eu
cd ${ROOT}
sudo() { [ "$1" != -E ] || shift; "$@"; }
trap 'sh scripts/cluster.sh down' EXIT
${script.replaceAll('./kiln build', './kiln build --progress=plain')}`,
  });
  const env = { KILN_ROOT: rig.path('store'), KILN_CLUSTER_NET: net };
  await run([KILN, 'load', '-q', '-i', testImage('busybox')], { env, expect: 0 });
  const { stdout, stderr } = await run(['sh', rig.path('page.sh')], { env, expect: 0 });
  assert.match(stdout + stderr, /kiln build --workers nats:\/\/10\.214\.\d+\.1:4222/);
  assert.match(stderr, /runs on worker worker[12]: linux\/arm64 would be emulated here/);
  const { stdout: left } = await run(['ip', '-4', '-o', 'address'], { expect: 0 });
  assert.not.ok(left.includes(` ${net}.`));
});

test.run();
