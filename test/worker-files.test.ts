import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { setXattr } from '../snapshotter/sys/xattr.ts';
import { ARM, emulatesArm, NatsRig } from './nats-rig.ts';
import { run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/*
 * The files of the context that a worker reads are those of the keys under which its results are
 * saved here.
 */

const ready = emulatesArm('worker-files');
const DOCKERFILE = 'FROM busybox\nARG N\nCOPY file /\nRUN cp /file /out\n';

/** Writes a text of the same size, and gives the file the time that it had. */
function editUnseen(path: string, text: string): void {
  const { atime, mtime, size } = statSync(path);
  assert.is(text.length, size);
  writeFileSync(path, text);
  utimesSync(path, atime, mtime);
}

test('an edit that keeps size and time is seen by a worker that has the earlier file', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  rig.write('c', { Dockerfile: DOCKERFILE, file: 'one' });
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const build = async (out: string, ...args: string[]) => {
    const { stderr } = await nats.build(['-o', out, ...args, ARM, 'c']);
    return { stderr, made: readFileSync(rig.path(out, 'out'), 'utf8') };
  };
  assert.is((await build('out1')).made, 'one');
  editUnseen(rig.path('c/file'), 'two');
  const second = await build('out2');
  assert.is(second.made, 'two');
  assert.match(second.stderr, /runs on worker one/);
  assert.not.match(second.stderr, /so this runs here/);
  editUnseen(rig.path('c/file'), 'one');
  assert.is((await build('out3')).made, 'one');
});

test('a file that changes before a worker gets it leads to no wrong record', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  rig.write('c', { Dockerfile: DOCKERFILE, file: 'one' });
  await using worker = await nats.worker('one', ['busybox'], ARM);
  await nats.build([ARM, '--build-arg=N=1', 'c']);
  rig.write('c', { file: 'two' });
  // The job waits at NATS while the file is edited.
  worker.child.kill('SIGSTOP');
  const running = rig.kiln(
    ['build', '--progress=plain', '--workers', nats.address, '-o', 'out1', ARM, 'c'],
    {},
  );
  await Promise.race([nats.posted(), running]);
  writeFileSync(rig.path('c/file'), 'three');
  worker.child.kill('SIGCONT');
  const { code, stderr } = await running;
  if (code === 0) assert.is(readFileSync(rig.path('out1/out'), 'utf8'), 'three');
  else assert.match(stderr, /KILN_CONTEXT_CHANGED/);
  for (const [out, text] of [
    ['out2', 'two'],
    ['out3', 'three'],
  ] as const) {
    writeFileSync(rig.path('c/file'), text);
    await nats.build(['-o', out, ARM, 'c']);
    assert.is(readFileSync(rig.path(out, 'out'), 'utf8'), text);
  }
});

test('attributes of files are those of one machine, also by way of buildx', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig, socket } = serve;
  rig.write('c', {
    Dockerfile: 'FROM scratch\nCOPY --chmod=755 plain file /\nCOPY d /d\n',
    plain: 'x',
    file: 'y',
  });
  rig.write('c/d', { f: 'z' });
  // A program may bind to low ports. This is what setcap(8) writes for it.
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
  for (const name of ['c/file', 'c/d/f'])
    setXattr(rig.path(name), 'security.capability', capability);
  setXattr(rig.path('c/d'), 'user.kiln', Buffer.from('of d'));
  const output = (name: string) => [
    ...['-o', `type=oci,dest=${rig.path(name)},rewrite-timestamp=true`, '--provenance=false'],
    ...['--build-arg=SOURCE_DATE_EPOCH=1', '--metadata-file', rig.path(`${name}.json`), 'c'],
  ];
  const digestOf = (name: string) =>
    JSON.parse(readFileSync(rig.path(`${name}.json`), 'utf8'))['containerimage.digest'];
  await rig.kiln(['build', ...output('here')], {
    env: { KILN_ROOT: rig.path('own') },
    expect: 0,
  });
  await rig.kiln(['build', '--builder', `unix://${socket}`, ...output('there')], { expect: 0 });
  await serve.buildx(['build', ...output('buildx')], { cwd: rig.directory });
  assert.is(digestOf('there'), digestOf('here'));
  assert.is(digestOf('buildx'), digestOf('here'));
  const list = 'mkdir l && tar -xf here -C l && for f in l/blobs/sha256/*; do zcat -f $f; done';
  const { stdout } = await run(['sh', '-c', `${list} | grep -ao SCHILY.xattr[a-z.]*`], {
    cwd: rig.directory,
  });
  const kept = 'SCHILY.xattr.security.capability';
  assert.equal(stdout.trim().split('\n'), [kept, kept]);
});

test('a context with attributes is read by a worker once', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  rig.write('c', { Dockerfile: DOCKERFILE, file: 'one' });
  setXattr(rig.path('c/file'), 'user.kiln', Buffer.from('told'));
  await using _worker = await nats.worker('one', ['busybox'], ARM);
  const { stderr } = await nats.build(['-o', 'out', ARM, 'c']);
  assert.match(stderr, /runs on worker one/);
  assert.not.match(stderr, /so this runs here/);
  assert.is(readFileSync(rig.path('out', 'out'), 'utf8'), 'one');
});

test.run();
