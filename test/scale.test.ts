import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { WORK_STREAM } from '../workers/protocol.ts';
import { KILN, processesWith, Rig, ROOT, run, testImage } from './rig.ts';
import { until } from './until.ts';

/*
 * docs/scale.md as it is written, on this machine, and a cut of its network. The cluster needs
 * network namespaces.
 */

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

/** How long the network is away, in milliseconds. NATS gives a job to others after half of it. */
const CUT_MS = 30_000;

test('the network of a worker is cut in a step, for half a minute', async () => {
  if (!ready) return;
  await using rig = await Rig.create('busybox');
  const net = `10.215.${process.pid % 250}`;
  const cluster = async (...words: string[]) =>
    await run(['sh', join(ROOT, 'scripts/cluster.sh'), ...words], {
      env: { KILN_CLUSTER_NET: net },
      expect: 0,
    });
  const mark = `${process.pid}.25`;
  const dockerfile = `FROM base\nRUN echo begun && sleep 20 && : ${mark} && echo ended > /f\n`;
  rig.write('c', { Dockerfile: dockerfile });
  await using scope = new AsyncDisposableStack();
  scope.defer(async () => void (await cluster('down')));
  await cluster('up', '--platform', 'linux/arm64', '--slots', '1');
  const env = { KILN_CONFIG: join(ROOT, '.cache/cluster/kiln.toml') };
  const base = `${net}.5:5000/busybox`;
  await rig.kiln(['tag', 'busybox', base], { env, expect: 0 });
  await rig.kiln(['push', base], { env, expect: 0 });
  const address = `nats://${net}.1:4222`;
  let cut: Promise<string> | undefined;
  const cutAndJoin = async (worker: string) => {
    await cluster('cut', worker);
    await setTimeout(CUT_MS);
    await cluster('join', worker);
    return worker;
  };
  const { stderr } = await rig.kiln(
    [
      ...['build', '--progress=plain', '--workers', address, '--platform', 'linux/arm64'],
      ...['--build-context', `base=docker-image://${base}`, '-o', 'out', 'c'],
    ],
    {
      env,
      expect: 0,
      watch(output) {
        const [, worker] = /runs on worker (\w+):/.exec(output) ?? [];
        if (worker && / begun$/m.test(output)) cut ??= cutAndJoin(worker);
      },
    },
  );
  const away = await cut!;
  const others = [...stderr.matchAll(/runs on worker (\w+):/g)].map(([, name]) => name);
  assert.is(others.at(-1), away === 'worker1' ? 'worker2' : 'worker1', stderr);
  assert.not.match(stderr, /so this runs here/);
  assert.is(readFileSync(rig.path('out/f'), 'utf8'), 'ended\n');
  // The one that was away finds that nobody waits for it.
  await until(() => processesWith(mark).length === 0);
  const connection = await connect({ servers: `${net}.1:4222` });
  scope.defer(() => connection.close());
  const manager = await jetstreamManager(connection);
  await until(async () => (await manager.streams.info(WORK_STREAM)).state.messages === 0);
});

test.run();
