import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, connect as dial } from 'node:net';
import { type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { consumerOf } from '../workers/nats/open-nats.ts';
import {
  helloSubject,
  type JobMessage,
  jobSubject,
  PROTOCOL,
  RESULTS_BUCKET,
  WORK_STREAM,
  WORKERS_BUCKET,
} from '../workers/protocol.ts';
import { beside } from './beside.ts';
import { freePort } from './daemon-rig.ts';
import { ARM, emulatesArm, NatsRig, Started } from './nats-rig.ts';
import { KILN, processesWith, Rig, testImage } from './rig.ts';
import { ServeRig } from './serve-rig.ts';
import { until } from './until.ts';

/*
 * What goes wrong with workers and NATS: only the sub-graph in question is run again, no wrong byte
 * comes, and nothing is left running. test/workers.test.ts has a worker that is killed, and NATS
 * that is restarted.
 */

const ready = emulatesArm('worker-faults');

beside('the leader of a cluster of three NATS servers is killed in a step', async () => {
  if (!ready) return;
  await using nats = await NatsRig.cluster('busybox');
  nats.rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN echo begun; sleep 4; echo ended > /f\nRUN echo more >> /f\n',
  });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  let killed: Promise<string> | undefined;
  const { stderr } = await nats.build(['-o', 'out', ARM, 'c'], {
    watch(output) {
      if (/^#\d+ [\d.]+ begun$/m.test(output)) killed ??= nats.killLeader();
    },
  });
  assert.match(await killed!, /^nats\d$/);
  assert.is(readFileSync(nats.rig.path('out/f'), 'utf8'), 'ended\nmore\n');
  assert.is(stderr.match(/ begun$/gm)?.length, 1);
  assert.not.match(stderr, /so this runs here/);
  // The two that are left go on.
  nats.rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo again > /f\n' });
  // On a busy machine the choice of a leader takes longer than a build waits for it.
  await until(async () => {
    const { stderr: again } = await nats.build([ARM, '--no-cache', 'c']);
    return /runs on worker one/.test(again);
  });
  assert.is(await nats.jobs(), 0);
});

beside('a build that is killed leaves nothing running, and what was made is found', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const mark = `${process.pid}61.5`;
  const text = (last: string) => `FROM busybox\nRUN echo made; echo x > /f\nRUN ${last}\n`;
  nats.rig.write('c', { Dockerfile: text(`echo begun; sleep ${mark}`) });
  await using worker = await nats.worker('one', ['busybox'], ARM);
  await nats.build([ARM, 'c'], {
    expect: undefined,
    watch(output, kill) {
      if (/^#\d+ [\d.]+ begun$/m.test(output)) kill('SIGKILL');
    },
  });
  await until(() => processesWith(mark).length === 0);
  await worker.writes('is over');
  await until(async () => (await nats.jobs()) === 0);
  nats.rig.write('c', { Dockerfile: text('cat /f') });
  const { stderr } = await nats.build([ARM, 'c']);
  assert.not.match(stderr, / made$/m);
});

beside('a worker that is silent for long is replaced, and not listened to any more', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  nats.rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo begun; sleep 3; echo ended > /f\n' });
  const one = await nats.worker('one', ['busybox'], ARM);
  let two: Promise<unknown> | undefined;
  const { stderr } = await nats.build(['-o', 'out', ARM, 'c'], {
    watch(output) {
      if (two || !/^#\d+ [\d.]+ begun$/m.test(output)) return;
      // As if its network were cut.
      one.child.kill('SIGSTOP');
      two = nats.worker('two', ['busybox'], ARM);
    },
  });
  await two;
  assert.match(stderr, /runs on worker two/);
  assert.is(readFileSync(nats.rig.path('out/f'), 'utf8'), 'ended\n');
  one.child.kill('SIGCONT');
  await until(async () => (await nats.jobs()) === 0);
});

beside('wrong bytes for a digest are refused, and the work is done here', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig, socket } = serve;
  const store = rig.path('own');
  const env = { KILN_ROOT: store };
  await rig.kiln(['load', '-q', '-i', testImage('busybox')], { env, expect: 0 });
  // What the worker sends passes here, where a word in a layer is changed.
  const path = rig.path('liar.sock');
  const proxy = createServer((client) => {
    const server = dial(socket);
    client.pipe(server);
    server.on('data', (data: Buffer) => {
      for (let at = data.indexOf('TRUTH'); at >= 0; at = data.indexOf('TRUTH'))
        data.write('LIES!', at);
      client.write(data);
    });
    server.on('end', () => client.end());
    for (const end of [client, server]) {
      end.on('error', () => {});
      end.on('close', () => {
        client.destroy();
        server.destroy();
      });
    }
  }).listen(path);
  try {
    const last = 'FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n';
    const stage = (name: string) =>
      `FROM busybox AS ${name}\nARG X\nRUN sleep 3.2; echo "TR""UTH" $X > /${name}\n`;
    rig.write('c', {
      Dockerfile: `${stage('a')}${stage('b')}${last}`,
    });
    const build = (...args: string[]) =>
      rig.kiln(['build', '--progress=plain', '-o', 'out', ...args, 'c'], { env, expect: 0 });
    await build('--build-arg=X=1');
    const { stderr } = await build('--build-arg=X=2', '--workers', `unix://${path}`);
    assert.match(stderr, /runs on worker unix:/);
    assert.match(stderr, /worker unix:\S+ failed: .*so this runs here/);
    for (const name of ['a', 'b'])
      assert.is(readFileSync(rig.path('out', name), 'utf8'), 'TRUTH 2\n');
  } finally {
    proxy.close();
  }
});

/** A server that takes connections, and says nothing. */
async function silent(listen: { path: string } | { port: number; host: string }) {
  const asked = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    asked.resolve();
  }).listen(listen);
  await once(server, 'listening');
  return {
    asked: asked.promise,
    [Symbol.dispose]: () => void server.close(),
  };
}

for (const kind of ['unix', 'nats'] as const)
  beside(`an address of ${kind} that is silent is given up, and holds up no Ctrl-C`, async () => {
    if (!ready) return;
    await using rig = await Rig.create('busybox');
    const port = await freePort();
    const path = rig.path('silent.sock');
    const address = kind === 'unix' ? `unix://${path}` : `nats://127.0.0.1:${port}`;
    rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo here > /f\n' });
    const words = ['build', '--progress=plain', '--workers', address, ARM, '-o', 'out', 'c'];
    const listen = kind === 'unix' ? { path } : { port, host: '127.0.0.1' };
    {
      using server = await silent(listen);
      const env = { KILN_ROOT: rig.store };
      await using build = new Started([KILN, ...words], env, rig.directory);
      await server.asked;
      await build.end('SIGINT');
      assert.match(build.printed, /KILN_CANCELLED/);
      assert.not.match(build.printed, /cannot be asked/);
    }
    rmSync(path, { force: true });
    using _server = await silent(listen);
    const { stderr } = await rig.kiln(words, { expect: 0 });
    assert.match(stderr, /the workers cannot be asked: .*, so this runs here/);
    assert.is(readFileSync(rig.path('out/f'), 'utf8'), 'here\n');
  });

beside('a step that fails because the disk of the worker is full is run here', async () => {
  if (!ready || process.getuid?.() !== 0) return;
  await using nats = await NatsRig.create('busybox');
  const disk = nats.rig.path('store-one');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=300m', 'tmpfs', disk]);
  try {
    nats.rig.write('c', {
      Dockerfile: 'FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=320 2>&1 && rm /big\n',
    });
    await using _worker = await nats.worker('one', ['busybox'], ARM);
    const { stderr } = await nats.build([ARM, 'c']);
    assert.match(stderr, /runs on worker one/);
    assert.match(stderr, /worker one failed: its disk is full, so this runs here/);
    const { Steps } = JSON.parse(
      (await nats.rig.kiln(['history', 'inspect', '--format=json'])).stdout,
    );
    assert.ok(Steps.every((step: object) => !('Worker' in step)));
    const { stdout } = await nats.rig.kiln(['explain']);
    assert.match(stdout, /runs here, because worker one failed: its disk is full/);
  } finally {
    execFileSync('umount', ['-l', disk]);
    rmSync(disk, { recursive: true });
  }
});

beside('a worker of another version is told, and not asked', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  nats.rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\n' });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const connection = await connect({ servers: nats.address });
  const other = { protocol: 999, version: '99.1', worker: 'new', anything: {} };
  const bucket = await new Kvm(connection).open(WORKERS_BUCKET);
  await bucket.put('new', JSON.stringify(other));
  const { stderr } = await nats.build([ARM, 'c']);
  await connection.close();
  assert.match(stderr, /WARNING: worker new is of Kiln 99\.1 .*it is not asked/);
  assert.match(stderr, /runs on worker one/);
});

/** Takes part at NATS as a worker that lies: `take` gets each job. */
async function liar(
  nats: NatsRig,
  take: (job: JobMessage, message: JsMsg, connection: NatsConnection) => void | Promise<void>,
): Promise<AsyncDisposable> {
  const connection = await connect({ servers: nats.address });
  const workers = await new Kvm(connection).open(WORKERS_BUCKET);
  const presence = {
    ...{ protocol: PROTOCOL, version: '1', worker: 'liar', platforms: ['linux/arm64'] },
    ...{ labels: [], isTrusted: true, slots: 9, running: 0 },
  };
  const tell = () => void workers.put('liar', JSON.stringify(presence)).catch(() => {});
  tell();
  const telling = setInterval(tell, 1000);
  const platform = { os: 'linux', architecture: 'arm64' };
  const subject = jobSubject({ kind: 'any', platform, label: undefined }, false);
  const name = await consumerOf(await jetstreamManager(connection), subject);
  const consumer = await jetstream(connection).consumers.get(WORK_STREAM, name);
  const messages = await consumer.consume({
    callback: (message) => void take(message.json<JobMessage>(), message, connection),
  });
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(telling);
      messages.stop();
      await connection.close();
    },
  };
}

beside('a worker whose hello is no hello is sent away, and another one does the work', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  nats.rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo done > /f\n' });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const hello = { protocol: PROTOCOL, version: '1', worker: 'liar', link: 'a', publicKey: 'x' };
  const lies = [
    'no JSON',
    '{}',
    JSON.stringify({ ...hello, protocol: 999 }),
    JSON.stringify({ ...hello, worker: '../../etc' }),
    JSON.stringify({ ...hello, link: 'a.>' }),
    JSON.stringify(hello),
  ];
  const answers: string[] = [];
  await using _liar = await liar(nats, async ({ id }, message, connection) => {
    for (const lie of lies.splice(0)) {
      const { data } = await connection.request(helloSubject(id), lie, { timeout: 5000 });
      answers.push(data.toString());
    }
    message.nak(100);
  });
  // What is stored may be anything, too: whose results these are, nobody can say.
  const connection = await connect({ servers: nats.address });
  const results = await new Kvm(connection).open(RESULTS_BUCKET);
  const stored = (async () => {
    for await (const { key, value } of await results.watch())
      if (value.length > 0 && !Buffer.from(value).toString().startsWith('junk'))
        await results.put(key, 'junk'.repeat(100)).catch(() => {});
  })();
  const done: string[] = [];
  while (answers.length === 0) {
    const { stderr } = await nats.build(['--no-cache', '-o', 'out', ARM, 'c']);
    done.push(...(stderr.match(/runs on worker \S+:/g) ?? ['here']));
    assert.is(readFileSync(nats.rig.path('out/f'), 'utf8'), 'done\n');
  }
  await connection.close();
  await stored;
  assert.ok(done.includes('runs on worker one:'), done.join());
  assert.not.ok(done.includes('runs on worker liar:'), done.join());
  for (const answer of answers) assert.is(JSON.parse(answer).isWelcome, false, answer);
});

beside('a job that a worker takes and keeps is done here, with a warning', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  nats.rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo done > /f\n' });
  // It makes the stream and the buckets.
  await (await nats.worker('one', ['busybox'], ARM)).end();
  await using _liar = await liar(nats, (_job, message) => message.ack());
  const { stderr } = await nats.build(['-o', 'out', ARM, 'c']);
  assert.match(stderr, /cannot be asked: no worker takes the job, .*so this runs here/);
  assert.is(readFileSync(nats.rig.path('out/f'), 'utf8'), 'done\n');
});

beside('the clock of a worker is an hour ahead', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  nats.rig.write('c', {
    Dockerfile: 'FROM busybox\nCOPY file /\nRUN date +%Y%m%d%H > /when\n',
    file: 'x',
  });
  // The program faketime would stand between this one and the worker.
  const library = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
  const clock = ['FAKETIME=+1h', 'FAKETIME_DONT_FAKE_MONOTONIC=1'];
  const ahead = ['env', `LD_PRELOAD=${library}`, ...clock];
  await using _worker = await nats.workerBy(ahead, 'one', ['busybox'], ARM);
  const { stderr } = await nats.build(['-o', 'out', ARM, 'c']);
  assert.match(stderr, /runs on worker one/);
  assert.not.match(stderr, /so this runs here/);
  const again = await nats.build(['-o', 'out', ARM, 'c']);
  assert.not.match(again.stderr, /runs on worker/);
});

beside('without NATS, steps run here, with one warning', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN true\nRUN true 2\n' });
  const { stderr } = await rig.kiln(
    ['build', '--progress=plain', '--workers', 'nats://127.0.0.1:1', ARM, 'c'],
    { expect: 0 },
  );
  assert.match(
    stderr,
    /the workers cannot be asked: NATS at nats:\/\/127\.0\.0\.1:1 cannot be used/,
  );
});

test.run();
