import { CancelledError, KilnError } from '../../../base/errors.ts';
import type { Platform } from '../../../base/platform.ts';
import type { ProcessIO, RunningProcess } from '../../../executor/executor.ts';
import { type ProcessStreams, pipeStreams } from '../../../executor/process-streams.ts';
import { type TerminalStreams, terminalStreams } from '../../../executor/terminal-streams.ts';
import type {
  Container,
  ContainerCommand,
  ContainerOutput,
  ContainerProcess,
  ContainerSpec,
  ContainerTree,
} from '../../container.ts';
import { SECURITY_MODE } from '../../llb/enums.ts';
import type { ExecMeta, ExecOp } from '../../llb/exec-op.ts';
import type { BuildResult } from '../../result.ts';
import type { StepSession } from '../../step-session.ts';
import type { World } from '../../world.ts';
import { checkAllowed, checkExec } from './checks.ts';
import { mountTypeName } from './mount-types.ts';
import { type OpenMounts, openMounts } from './mounts.ts';
import { processSpec } from './process.ts';

const NO_META: ExecMeta = { args: [], env: [], cwd: '/' };

/** Opens a container on this host (solver/container.ts). */
export async function openContainer(
  spec: ContainerSpec,
  world: World,
  session: StepSession,
  signal: AbortSignal,
): Promise<Container> {
  const inputs: BuildResult[] = [];
  const mounts = spec.mounts.map(({ mount, result }) => ({
    ...mount,
    input: result ? inputs.push(result) - 1 : -1,
    output: -1,
  }));
  const { network, hostname, extraHosts } = spec;
  const meta = { ...NO_META, hostname, extraHosts };
  const op: ExecOp = { meta, mounts, network, security: SECURITY_MODE.sandbox };
  checkExec(op, inputs.length);
  const opened = await openMounts(op, inputs, { world, session, signal, fresh: false });
  return new LocalContainer(op, spec.platform, opened, world, session);
}

/** The types of mounts whose files the owner of a container may read. */
const SHOWN: ReadonlySet<string> = new Set(['bind', 'cache']);

class LocalContainer implements Container {
  readonly #op: ExecOp;
  readonly #platform: ContainerSpec['platform'];
  readonly #mounts: OpenMounts;
  readonly #world: World;
  readonly #session: StepSession;
  readonly #released = new AbortController();
  readonly #ends = new Set<Promise<unknown>>();
  /** The process that made the sandbox. */
  #first: Promise<RunningProcess> | undefined;

  constructor(
    op: ExecOp,
    platform: ContainerSpec['platform'],
    mounts: OpenMounts,
    world: World,
    session: StepSession,
  ) {
    this.#op = op;
    this.#platform = platform;
    this.#mounts = mounts;
    this.#world = world;
    this.#session = session;
  }

  get isBusy(): boolean {
    return this.#ends.size > 0;
  }

  get trees(): readonly ContainerTree[] {
    const shared = new Set(
      this.#op.mounts.filter((mount) => SHOWN.has(mountTypeName(mount))).map(({ dest }) => dest),
    );
    const mounted = this.#mounts.specs.flatMap((spec) =>
      spec.kind === 'bind' && shared.has(spec.target)
        ? [{ dest: spec.target, directory: spec.source }]
        : [],
    );
    return [{ dest: '/', directory: this.#mounts.root }, ...mounted];
  }

  async start(
    command: ContainerCommand,
    output: ContainerOutput,
    signal: AbortSignal,
  ): Promise<ContainerProcess> {
    const { security, secretenv } = command;
    const { hostname, extraHosts } = this.#op.meta;
    const meta = {
      ...command.meta,
      ...(hostname && { hostname }),
      ...(extraHosts && { extraHosts }),
    };
    const named = withDefaults(meta, command, this.#platform);
    const op = { ...this.#op, meta: named, security, secretenv };
    checkAllowed(op, this.#session.allowed);
    const spec = await processSpec(op, this.#runsOn(), this.#mounts, this.#world, this.#session);
    const { executor } = this.#world;
    const ended = AbortSignal.any([signal, this.#released.signal]);
    const first = this.#first;
    if (!first) {
      const begun = begin((io) => executor.run(spec, io, ended), command, output);
      this.#first = begun.running;
      return await this.#keep(begun);
    }
    const beside = await first.catch(() => {
      throw new KilnError(
        'KILN_PROCESS_START',
        `cannot start ${spec.args[0] ?? 'the process'}: the first process of the container did ` +
          'not start',
      );
    });
    return await this.#keep(begin((io) => beside.run(spec, io, ended), command, output));
  }

  /** The platform of the programs. One that names no processor is for that of the host. */
  #runsOn(): Platform | undefined {
    if (this.#platform?.os !== 'linux') return undefined;
    const { architecture } = this.#platform;
    return { ...this.#platform, architecture: architecture || this.#world.platform.architecture };
  }

  async #keep({ running, started }: Begun): Promise<ContainerProcess> {
    this.#ends.add(started.exited);
    started.exited.catch(() => {}).finally(() => this.#ends.delete(started.exited));
    await running;
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#released.abort(new CancelledError());
    await Promise.allSettled(this.#ends);
    await this.#mounts[Symbol.asyncDispose]();
  }
}

/** A process that is being started. */
interface Begun {
  /** Rejects when it cannot be started. */
  readonly running: Promise<RunningProcess>;
  readonly started: ContainerProcess;
}

/** Has `run` start a process on streams of ours. */
function begin(
  run: (io: ProcessIO) => Promise<{ readonly exitCode: number }>,
  { streams: open, terminal: isTerminal }: ContainerCommand,
  output: ContainerOutput,
): Begun {
  const terminal: TerminalStreams | undefined = isTerminal ? terminalStreams() : undefined;
  const streams: ProcessStreams = terminal ?? pipeStreams(open);
  const { promise: running, resolve, reject } = Promise.withResolvers<RunningProcess>();
  let runs: RunningProcess | undefined;
  let size: readonly [rows: number, columns: number] | undefined;
  const onStart = (running: RunningProcess) => {
    runs = running;
    streams.release();
    if (size) running.resize(...size);
    resolve(running);
  };
  const exited = (async () => {
    const told = Promise.all(streams.outputs.map((each) => forward(each, open, output)));
    told.catch(() => {});
    try {
      const { exitCode } = await run({ output: () => {}, lent: streams.lent, onStart });
      // A process may end before it was seen to run.
      onStart(ENDED);
      await told;
      return exitCode;
    } catch (error) {
      reject(error);
      throw error;
    } finally {
      runs = undefined;
      streams[Symbol.dispose]();
    }
  })();
  running.catch(() => {});
  exited.catch(() => {});
  const started: ContainerProcess = {
    exited,
    write: (bytes) => streams.write(bytes),
    end: () => streams.end(),
    resize(rows, columns) {
      size = [rows, columns];
      terminal?.resize(rows, columns);
      runs?.resize(rows, columns);
    },
    kill: (signal) => runs?.kill(signal),
  };
  return { running, started };
}

const ENDED: RunningProcess = {
  kill() {},
  resize() {},
  run: (spec) =>
    Promise.reject(
      new KilnError(
        'KILN_PROCESS_START',
        `cannot start ${spec.args[0] ?? 'the process'}: the container has ended`,
      ),
    ),
};

/** Passes the output of a process on. What goes to a stream that is not open is dropped. */
async function forward(
  [stream, bytes]: ProcessStreams['outputs'][number],
  open: ReadonlySet<number>,
  output: ContainerOutput,
): Promise<void> {
  for await (const chunk of bytes) if (open.has(stream)) await output(stream, chunk);
  if (open.has(stream)) await output(stream, undefined);
}

/** As with BuildKit, a container for Windows gets its PATH, although its programs run here. */
const WINDOWS_PATH =
  'PATH=c:\\Windows\\System32;c:\\Windows;C:\\Windows\\System32\\WindowsPowerShell\\v1.0';

/** Adds variables that the process does not set. */
function withDefaults(
  meta: ExecMeta,
  { terminal }: ContainerCommand,
  platform: Platform | undefined,
): ExecMeta {
  const lacks = (name: string) => !meta.env.some((entry) => entry.startsWith(`${name}=`));
  const env = [...meta.env];
  if (platform?.os === 'windows' && lacks('PATH')) env.push(WINDOWS_PATH);
  if (terminal && lacks('TERM')) env.push('TERM=xterm');
  return { ...meta, env };
}
