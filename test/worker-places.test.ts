import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ARM, emulatesArm, NatsRig } from './nats-rig.ts';

/* Which of several workers gets a sub-graph: the one that did such work last, while it has room. */

const ready = emulatesArm('worker-places');

const workersIn = (output: string) =>
  [...output.matchAll(/runs on worker (\w+)/g)].map(([, name]) => name);

test('builds of a project go to the worker that has its content, unless it is busy', async () => {
  if (!ready) return;
  await using nats = await NatsRig.create('busybox');
  const { rig } = nats;
  const names = ['one', 'two', 'three'];
  for (const name of names) await nats.worker(name, ['busybox'], ARM, '--slots', '1');
  const project = (name: string, text: string, run: string) =>
    rig.write(name, {
      Dockerfile: `FROM busybox\nRUN true # the tools of ${name}\nCOPY file /\nRUN ${run}\n`,
      file: text,
    });
  const build = async (name: string) => {
    const { stderr } = await nats.build([ARM, name]);
    return workersIn(stderr);
  };
  // A build of each project has two rows for a worker: its tools, and what is done with the file.
  const homes = new Map<string, string>();
  for (const [turn, name] of ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b'].entries()) {
    project(name, `${turn}`, 'cat /file');
    for (const worker of await build(name)) {
      homes.set(name, homes.get(name) ?? worker!);
      assert.is(worker, homes.get(name), `turn ${turn} of project ${name}`);
    }
  }
  project('a', 'slow', 'echo begun; sleep 6');
  let other: Promise<(string | undefined)[]> | undefined;
  const { stderr } = await nats.build([ARM, 'a'], {
    watch(output) {
      if (other || !/^#\d+ [\d.]+ begun$/m.test(output)) return;
      rig.write('a2', {
        Dockerfile: 'FROM busybox\nRUN true # the tools of a\nCOPY file /\nRUN echo quick\n',
        file: 'quick',
      });
      other = build('a2');
    },
  });
  assert.equal(new Set(workersIn(stderr)), new Set([homes.get('a')]));
  const elsewhere = await other!;
  assert.is(elsewhere.length, 1);
  assert.not.equal(elsewhere, [homes.get('a')]);
});

test.run();
