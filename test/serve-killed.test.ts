import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { settled } from './held.ts';
import { mountsBelow, processesWith } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

test('a server that is killed in a step tells its client, and leaves a whole store', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig, pid } = serve;
  const mark = `sleep ${3600 + Math.floor(Math.random() * 1e6)}`;
  const context = rig.write('c', {
    Dockerfile: `FROM busybox\nCOPY f /\nRUN cat /f\nRUN echo up; ${mark}\n`,
    f: 'kept',
  });
  const told = await serve.buildx(['build', '--progress=plain', context], {
    expect: 1,
    watch: (output) => {
      if (/^#\d+ [\d.]+ up$/m.test(output)) process.kill(pid, 'SIGKILL');
    },
  });
  assert.match(told.stderr, /ERROR/);
  const left = await settled(() => {
    const found = [...processesWith(mark), ...mountsBelow(rig.store)];
    return found.length > 0 ? found.join('; ') : undefined;
  });
  assert.is(left, undefined);
  // What had ended is cached for whoever builds next.
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY f /\nRUN cat /f\n' });
  assert.match(await rig.build('c', '-t', 'x'), /^#\d+ CACHED$/m);
  await rig.kiln(['fsck'], { expect: 0 });
});

test('builds of a server and of processes, and prunes, share one store', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const text = (name: string) => `FROM busybox\nCOPY f /\nRUN cat /f > /${name}\n`;
  for (const name of ['a', 'b', 'c', 'd']) rig.write(name, { Dockerfile: text(name), f: name });
  await Promise.all([
    serve.build(['-o', 'out', 'a']),
    serve.build(['-o', 'type=oci,dest=b.tar', 'b']),
    rig.build('c', '-t', 'c'),
    rig.build('d', '-t', 'd'),
    rig.kiln(['prune', '--force'], { expect: 0 }),
    rig.kiln(['prune', '--force', '--max-used-space', '1m'], { expect: 0 }),
  ]);
  for (const name of ['c', 'd'])
    assert.is((await rig.kiln(['run', name, 'cat', `/${name}`], { expect: 0 })).stdout, name);
  await rig.kiln(['fsck'], { expect: 0 });
  assert.is(await serve.end(), 0);
});

test.run();
