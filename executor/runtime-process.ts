import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import type { SpawnOptions } from '../snapshotter/sys/launch.ts';
import type { Placement } from './cgroups.ts';
import type { ProcessIO, RunningProcess } from './executor.ts';
import { killSandbox, signalProcess } from './kill.ts';
import { closeAll, drain, feed, makePipe } from './pipes.ts';
import type { JoinedSandboxHost } from './sandbox-host.ts';
import { type Exit, type Spawned, spawnProcess } from './spawn.ts';
import { resizeInside } from './terminal-size.ts';

const SIGWINCH = 28;
/** Milliseconds between two looks whether a process has started. */
const LOOK_MS = 5;

/** A sandbox, as the runtime knows it. */
export interface Sandbox {
  readonly id: string;
  readonly bundle: string;
  /** The runtime's `--root`. */
  readonly state: string;
  readonly place: Placement;
}

/** The part of a running process that the runtime gives. */
export type StartedProcess = Pick<RunningProcess, 'kill' | 'resize'>;

/** A process that the runtime starts: the first one of a sandbox, or another one in it. */
export interface RuntimeCommand {
  readonly sandbox: Sandbox;
  readonly verb: 'run' | 'exec';
  /** Tells the files of one process in the bundle from those of the others. */
  readonly suffix: string;
  /** Called once when the process runs. */
  readonly onStart?: ((process: StartedProcess) => void) | undefined;
}

/** A file in the bundle that belongs to one process. `process` holds its `process` config. */
export function processFile(
  { sandbox, suffix }: Pick<RuntimeCommand, 'sandbox' | 'suffix'>,
  name: 'log' | 'pid' | 'process',
): string {
  return `${sandbox.bundle}/${name}${suffix}`;
}

/**
 * Starts the runtime, and waits until it has ended and all output was read. When `signal` aborts,
 * the process is killed.
 */
export async function superviseRuntime(
  host: JoinedSandboxHost,
  command: RuntimeCommand,
  io: ProcessIO,
  signal: AbortSignal,
): Promise<Exit> {
  const pidFile = processFile(command, 'pid');
  const child = start(host, command, io);
  let release: (() => void) | undefined;
  const abort = () => {
    release ??= killSandbox(child.pid, pidFile);
  };
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  const watch = command.onStart && watchStart(child, command, command.onStart);
  try {
    const exit = await child.exited;
    release?.();
    await child.drained;
    return exit;
  } finally {
    clearInterval(watch);
    signal.removeEventListener('abort', abort);
    release?.();
  }
}

/** Looks for the pid file, which the runtime writes when the process runs. */
function watchStart(
  { pid, exited }: Spawned,
  command: RuntimeCommand,
  onStart: (process: StartedProcess) => void,
): NodeJS.Timeout {
  const { sandbox } = command;
  const pidFile = processFile(command, 'pid');
  // Another process can be started only after the runtime has written down the sandbox.
  const state = ['status', 'state.json'].map((name) => `${sandbox.state}/${sandbox.id}/${name}`);
  let hasEnded = false;
  void exited.finally(() => {
    hasEnded = true;
  });
  const started: StartedProcess = {
    kill(signal) {
      if (!hasEnded) signalProcess(pid, pidFile, signal);
    },
    resize(rows, columns) {
      if (hasEnded || resizeInside(pid, rows, columns)) return;
      // runc then copies the size of its own terminal to that of the process.
      process.kill(pid, SIGWINCH);
    },
  };
  const timer = setInterval(() => {
    if (!readText(pidFile) || !state.some((path) => existsSync(path))) return;
    clearInterval(timer);
    if (!hasEnded) onStart(started);
  }, LOOK_MS);
  return timer;
}

interface Running extends Spawned {
  readonly drained: Promise<unknown>;
}

function start(host: JoinedSandboxHost, command: RuntimeCommand, io: ProcessIO): Running {
  const program = {
    ...host.program,
    args: runtimeArguments(host, command),
  };
  const spawn = (more: Pick<SpawnOptions, 'stdio' | 'session'>) =>
    command.sandbox.place.start(() => spawnProcess({ ...program, ...more }));
  if (io.lent) {
    const { descriptors, ownSession = false } = io.lent;
    return { ...spawn({ stdio: descriptors, session: ownSession }), drained: Promise.resolve() };
  }
  const [out, err] = [makePipe(), makePipe()];
  const input = io.stdin ? makePipe() : { read: openSync('/dev/null', 'r') };
  // The runtime gets its own session, so that Ctrl-C reaches only Kiln.
  const child = spawn({ stdio: [input.read, out.write, err.write] });
  closeAll([input.read, out.write, err.write]);
  if ('write' in input && io.stdin) feed(input.write, io.stdin);
  const drained = Promise.all([
    drain(out.read, (data) => io.output(1, data)),
    drain(err.read, (data) => io.output(2, data)),
  ]);
  drained.catch(() => {});
  return { ...child, drained };
}

function runtimeArguments(host: JoinedSandboxHost, command: RuntimeCommand): string[] {
  const { id, bundle, state, place } = command.sandbox;
  const log = [`--log=${processFile(command, 'log')}`, '--log-format=json'];
  const manager = host.runtime.name === 'crun' ? [`--cgroup-manager=${place.manager}`] : [];
  const what =
    command.verb === 'run' ? ['--bundle', bundle] : ['--process', processFile(command, 'process')];
  return [
    '--root',
    state,
    ...log,
    ...manager,
    command.verb,
    ...what,
    '--pid-file',
    processFile(command, 'pid'),
    id,
  ];
}

/** The runtime removes its own state unless it was killed. */
export async function removeState(host: JoinedSandboxHost, { id, state }: Sandbox): Promise<void> {
  if (!existsSync(`${state}/${id}`)) return;
  const nothing = openSync('/dev/null', 'r+');
  try {
    const args = ['--root', state, 'delete', '--force', id];
    await spawnProcess({
      path: host.runtime.path,
      args,
      env: host.program.env,
      stdio: [nothing, nothing, nothing],
    }).exited;
  } finally {
    closeSync(nothing);
  }
}

/** Throws when the runtime itself failed, so that the process never ran. `args` is its program. */
export function throwStartFailure(command: RuntimeCommand, args: readonly string[]): void {
  const messages = [];
  for (const line of readText(processFile(command, 'log')).split('\n').filter(Boolean)) {
    const { level, msg } = JSON.parse(line) as { level?: string; msg?: string };
    if (level === 'error' && msg) messages.push(msg);
  }
  if (messages.length === 0) return;
  const missing = /executable file|no such file/i.test(messages.join());
  throw new KilnError(
    'KILN_PROCESS_START',
    `cannot start ${args[0] ?? 'the process'}: ${messages.join('; ')}`,
    {
      hint: missing
        ? args[0] === '/bin/sh'
          ? 'the image has no shell: write RUN ["program", "argument"], or begin with another image'
          : `check that the image has ${args[0]}, built for its own architecture`
        : undefined,
    },
  );
}

/** Empty when the file does not exist. */
function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
