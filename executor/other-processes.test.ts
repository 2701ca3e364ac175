import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { KilnError } from '../base/errors.ts';
import type { OtherProcess, ProcessSpec, RunningProcess } from './executor.ts';
import { makeTree, processesWith, specFor, type TestTree, whyNot } from './fixture.ts';
import { type ProcessStreams, pipeStreams } from './process-streams.ts';
import { createExecutor, type RuntimeExecutor } from './runtime-executor.ts';
import { terminalStreams } from './terminal-streams.ts';

const reason = whyNot();
if (reason) console.log(`SKIP other processes: ${reason}`);

const test = suite('other processes');
let tree: TestTree;

test.before(() => {
  tree = makeTree();
});
test.after(() => tree[Symbol.dispose]());

const ALL = new Set([0, 1, 2]);

/** The whole output of both streams. */
async function outputOf(streams: ProcessStreams): Promise<string> {
  const chunks: Uint8Array[] = [];
  await Promise.all(
    streams.outputs.map(async ([, bytes]) => {
      for await (const chunk of bytes) chunks.push(chunk);
    }),
  );
  return Buffer.concat(chunks).toString();
}

/** Starts the first process of a sandbox. Returns it, running, and the promise of its result. */
async function start(
  executor: RuntimeExecutor,
  args: readonly string[],
  { signal = new AbortController().signal, more = {} as Partial<ProcessSpec> } = {},
) {
  const { promise, resolve, reject } = Promise.withResolvers<RunningProcess>();
  const result = executor.run(
    specFor(tree.root, args, more),
    { output: () => {}, onStart: resolve },
    signal,
  );
  result.catch(reject);
  const running = await promise;
  return { running, result };
}

function other(script: string, more: Partial<OtherProcess> = {}): OtherProcess {
  return {
    args: ['/bin/sh', '-c', script],
    env: ['PATH=/bin'],
    cwd: '/',
    user: '',
    ulimits: [],
    ...more,
  };
}

/** Runs a script beside a running process. Returns its exit code and output. */
async function beside(running: RunningProcess, spec: OtherProcess, input?: string) {
  using streams = pipeStreams(ALL);
  const output = outputOf(streams);
  const never = new AbortController().signal;
  const io = { output: () => {}, lent: streams.lent, onStart: () => streams.release() };
  const ran = running.run(spec, io, never);
  if (input !== undefined) await streams.write(Buffer.from(input));
  streams.end();
  const { exitCode } = await ran.finally(() => streams.release());
  return [exitCode, await output] as const;
}

for (const runtime of ['crun', 'runc']) {
  test(`${runtime}: another process shares the sandbox and ends with its first one`, async () => {
    if (reason) return;
    await using executor = createExecutor({ stateDir: tree.stateDir, runtime });
    const { running, result } = await start(executor, [
      '/bin/sh',
      '-c',
      'echo 1 >/tmp/f; sleep 60',
    ]);
    const told = await beside(
      running,
      other('cat; cat /tmp/f; id -u; echo $S $HOME; grep Seccomp: /proc/self/status; pwd; exit 3', {
        user: 'alice',
        secretEnv: ['S=secret'],
        cwd: '/tmp',
      }),
      'in\n',
    );
    assert.equal(told, [3, 'in\n1\n1000\nsecret /home/alice\nSeccomp:\t2\n/tmp\n']);
    assert.is(
      await codeOf(beside(running, other('', { args: ['/nothing'] }))),
      'KILN_PROCESS_START',
    );
    const killed = beside(running, other('sleep 6123'));
    while (processesWith('6123').length === 0) await nothing();
    running.kill(9);
    assert.equal([(await killed)[0], (await result).exitCode], [137, 137]);
    assert.equal(processesWith('6123'), []);
  });

  test(`${runtime}: a process on a terminal gets its size, keys and signals`, async () => {
    if (reason) return;
    await using executor = createExecutor({ stateDir: tree.stateDir, runtime });
    using streams = terminalStreams();
    const script =
      "trap 'echo size $(busybox stty size)' WINCH; trap 'echo hup' HUP; test -t 0 && " +
      'echo terminal; while :; do read line && echo "<$line>"; done';
    const { promise: started, resolve } = Promise.withResolvers<RunningProcess>();
    let told = '';
    const reading = (async () => {
      for await (const chunk of streams.outputs[0]![1]) told += Buffer.from(chunk).toString();
    })();
    const ended = executor.run(
      specFor(tree.root, ['/bin/sh', '-c', script]),
      { output: () => {}, lent: streams.lent, onStart: resolve },
      new AbortController().signal,
    );
    const running = await started;
    streams.release();
    const until = async (text: RegExp) => {
      while (!text.test(told)) await nothing();
    };
    await until(/terminal\r\n/);
    streams.resize(33, 77);
    running.resize(33, 77);
    await until(/size 33 77\r\n/);
    await streams.write(Buffer.from('one\r'));
    await until(/one\r\n<one>\r\n/);
    running.kill(1);
    await streams.write(Buffer.from('\r'));
    await until(/hup\r\n/);
    await streams.write(Buffer.from('\x03'));
    assert.is((await ended).exitCode, 130, told);
    await reading;
  });
}

test('a process of a sandbox is killed by its signal, and the others stay', async () => {
  if (reason) return;
  await using executor = createExecutor({ stateDir: tree.stateDir });
  const abort = new AbortController();
  const { running, result } = await start(executor, ['/bin/sleep', '60'], { signal: abort.signal });
  using streams = pipeStreams(new Set());
  const one = new AbortController();
  const io = { output: () => {}, lent: streams.lent };
  const ran = running.run(other('exec sleep 6124'), io, one.signal);
  while (processesWith('6124').length === 0) await nothing();
  one.abort();
  assert.is(await codeOf(ran), 'KILN_CANCELLED');
  assert.equal(await beside(running, other('echo there')), [0, 'there\n']);
  abort.abort();
  assert.is(await codeOf(result), 'KILN_CANCELLED');
  assert.is(await codeOf(beside(running, other('true'))), 'KILN_PROCESS_START');
});

async function codeOf(action: Promise<unknown>): Promise<string | undefined> {
  try {
    await action;
  } catch (error) {
    if (error instanceof KilnError) return error.code;
    throw error;
  }
  return undefined;
}

const nothing = () => new Promise((resolve) => setTimeout(resolve, 10));

test.run();
