import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mountsBelow, processesWith, Rig, steps } from './rig.ts';

/** The entries in the scratch space of the store. It is empty when nothing was left behind. */
function leftovers(rig: Rig): string[] {
  // The directory of lock files stays. Its files are removed by the processes that hold them.
  return [...readdirSync(`${rig.store}/tmp`).filter((name) => name !== 'locks'), ...lockFiles(rig)];
}

function lockFiles(rig: Rig): string[] {
  const directory = `${rig.store}/tmp/locks`;
  return existsSync(directory) ? readdirSync(directory) : [];
}

async function untilGone(text: string): Promise<string[]> {
  // The kernel needs a moment to end the processes of a killed pid namespace. Two seconds are
  // ample.
  for (let attempt = 0; attempt < 100 && processesWith(text).length > 0; attempt++)
    await new Promise((done) => setTimeout(done, 20));
  return processesWith(text);
}

/**
 * The directory of the sandboxes of the build whose step sleeps for `mark` seconds. It is read from
 * the arguments of the runtime.
 */
function stateOf(mark: string): string {
  for (const file of globSync('/proc/[0-9]*/status')) {
    try {
      const process = dirname(file);
      if (!readFileSync(`${process}/cmdline`, 'utf8').includes(mark)) continue;
      for (let pid = parentOf(process); pid > 1; pid = parentOf(`/proc/${pid}`)) {
        const bundle = /--bundle\0([^\0]+)/.exec(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))?.[1];
        if (bundle !== undefined) return dirname(bundle);
      }
    } catch {
      // The process has ended meanwhile.
    }
  }
  throw new Error(`no sandbox sleeps for ${mark}`);
}

function parentOf(process: string): number {
  return Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`${process}/status`, 'utf8'))?.[1] ?? 0);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} within a step ends everything, and finished steps are cached`, async () => {
    await using rig = await Rig.create('busybox');
    const mark = `77${Math.floor(Math.random() * 1e6)}`;
    rig.write('c', {
      Dockerfile:
        'FROM busybox\n' +
        'RUN echo done > /done\n' +
        `RUN echo started && (sleep ${mark} & sleep ${mark})\n`,
    });
    let sent = 0;
    const ran = await rig.kiln(['build', '--progress=plain', '-t', 'x', 'c'], {
      watch: (output, kill) => {
        if (sent === 0 && / started$/m.test(output)) {
          sent = performance.now();
          kill(signal);
        }
      },
    });
    assert.ok(sent > 0, ran.stderr);
    assert.is(ran.code, 130, ran.stderr);
    assert.match(ran.stderr, 'KILN_CANCELLED');
    assert.equal(await untilGone(`sleep ${mark}`), []);
    assert.equal(mountsBelow(rig.directory), []);
    assert.equal(leftovers(rig), []);
    rig.write('d', { Dockerfile: 'FROM busybox\nRUN echo done > /done\n' });
    assert.is(steps(await rig.build('d')).get('[2/2] RUN echo done > /done'), 'CACHED');
  });
}

test('a killed build leaves no process and no mount, and the next build works', async () => {
  await using rig = await Rig.create('busybox');
  const mark = `78${Math.floor(Math.random() * 1e6)}`;
  rig.write('c', {
    Dockerfile: `FROM busybox\nRUN echo done > /done\nRUN echo started && sleep ${mark}\n`,
  });
  const ran = await rig.kiln(['build', '--progress=plain', '-t', 'x', 'c'], {
    watch: (output, kill) => {
      if (/ started$/m.test(output)) kill('SIGKILL');
    },
  });
  assert.is(ran.signal, 'SIGKILL');
  assert.equal(await untilGone(`sleep ${mark}`), []);
  assert.equal(mountsBelow(rig.directory), []);
  rig.write('d', { Dockerfile: 'FROM busybox\nRUN echo done > /done\n' });
  assert.is(steps(await rig.build('d', '-t', 'y')).get('[2/2] RUN echo done > /done'), 'CACHED');
  assert.equal(leftovers(rig), []);
});

test('builds killed at many moments never spoil the store', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile:
      'FROM busybox AS a\n' +
      'COPY . /c\n' +
      'RUN head -c 300000 /dev/urandom > /r && sha256sum /r > /sum\n' +
      'FROM busybox\n' +
      'COPY --from=a /r /sum /\n' +
      'RUN sha256sum -c /sum\n',
    ...Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [`f${index}`, `${index}`.repeat(1000)]),
    ),
  });
  const rounds = process.env['KILN_SOAK'] ? 300 : 12;
  for (let round = 0; round < rounds; round++) {
    const killed = rig.kiln(['build', '--no-cache', '--progress=plain', '-t', 'x', 'c'], {
      watch: (output, kill) => {
        // Each build is killed after another number of lines of progress.
        if (output.split('\n').length > 1 + ((round * 7) % 40)) kill('SIGKILL');
      },
    });
    await killed;
  }
  await rig.build('c', '-t', 'x');
  await rig.kiln(['run', 'x', 'sha256sum', '-c', '/sum'], { expect: 0 });
  assert.equal(leftovers(rig), []);
});

test('a build whose reader goes away ends quietly', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo x > /x\n' });
  const { KILN, run } = await import('./rig.ts');
  const ran = await run(['sh', '-c', `${KILN} build --progress=plain c 2>&1 | head -n 1`], {
    cwd: rig.directory,
    env: { KILN_ROOT: rig.store },
  });
  assert.not.match(ran.stderr, 'EPIPE');
});

test('the cleanup after a killed build deletes no file of a mounted cache', async () => {
  await using rig = await Rig.create('busybox');
  const mark = `79${Math.floor(Math.random() * 1e6)}`;
  rig.write('c', {
    Dockerfile: `
FROM busybox
RUN --mount=type=cache,id=a,target=/c mkdir -p /c/d && echo kept > /c/d/f
RUN --mount=type=cache,id=a,source=d,target=/c --mount=type=secret,id=s,env=S echo holding && \
sleep ${mark}
`,
  });
  let state: string | undefined;
  const ran = await rig.kiln(['build', '--progress=plain', '--secret', 'id=s,env=S', 'c'], {
    env: { S: 'x' },
    watch: (output, kill) => {
      if (state !== undefined || !/^#\d+ [\d.]+ holding$/m.test(output)) return;
      state = stateOf(mark);
      kill('SIGKILL');
    },
  });
  assert.is(ran.signal, 'SIGKILL');
  assert.equal(await untilGone(`sleep ${mark}`), []);
  // The watchdog removes this directory last.
  while (existsSync(state!)) await new Promise((done) => setTimeout(done, 20));
  const kept = globSync(`${rig.store}/caches/*/*/data/d/f`);
  assert.equal(
    kept.map((path) => readFileSync(path, 'utf8')),
    ['kept\n'],
  );
});

test.run();
