import type { Emulation, EmulationOptions, EmulationPlan } from './emulation/emulation.ts';
import { isNative } from './emulation/find-emulator.ts';
import type { Executor, ProcessSpec } from './executor.ts';
import { type FindProgram, programsOn } from './find-program.ts';
import type { WarnUser } from './host-warnings.ts';
import type { NetworkKind } from './network/network.ts';
import { findRuntime, probeRuntime } from './probe.ts';
import { staleDirectories } from './process-directories.ts';
import { runSandbox } from './run-sandbox.ts';
import { openSandboxHost, type SandboxHost, type SandboxHostOptions } from './sandbox-host.ts';

export interface ExecutorOptions {
  /**
   * Where running sandboxes keep small files (mode 0700). It is an absolute path without blanks,
   * the same for all processes, and best on a tmpfs.
   */
  readonly stateDir: string;
  /** A runtime's path or name. When absent: crun, else runc. */
  readonly runtime?: string | undefined;
  /** How programs of the host are found. When absent, only the usual directories are searched. */
  readonly findProgram?: FindProgram | undefined;
  /** `none` uses no control groups even where the host has some. It is for tests. */
  readonly cgroups?: 'auto' | 'none' | undefined;
  /** The kinds of network for `default`, best first. When absent, every kind is tried. */
  readonly networks?: readonly NetworkKind[] | undefined;
  /**
   * Receives the warnings about this host. An executor of several builds has no such function, and
   * each run gets the warnings (`ProcessIO.warn`).
   */
  readonly warn?: WarnUser | undefined;
  /** Returns the network of steps that cannot have their own. Called only when it is needed. */
  readonly networkFallback?: SandboxHostOptions['networkFallback'];
  /** How programs for other processors are run. */
  readonly emulation?: EmulationOptions | undefined;
}

/**
 * An executor. From its first run until it is disposed it holds a watchdog and, on cgroup v1, a
 * control group.
 */
export interface RuntimeExecutor extends Executor, AsyncDisposable {
  /**
   * Keeps what the sandboxes share, until the result is disposed. When the last holder is disposed,
   * the executor begins to release it. That takes 25 ms, nearly all of it in other processes. Later
   * runs wait for the end of that and set everything up again.
   */
  hold(): Disposable;
}

/**
 * Makes an executor that uses crun or runc. It must be on the main thread, because it puts this
 * process into its own mount namespace, which children inherit. Creating it is cheap. The first run
 * sets everything up. When a process has died and left a directory, that is done at once.
 */
export function createExecutor(options: ExecutorOptions): RuntimeExecutor {
  let host: SandboxHost | undefined;
  const findProgram = options.findProgram ?? programsOn(undefined);
  const open = () => (host ??= openSandboxHost({ ...options, findProgram }));
  if (staleDirectories(options.stateDir).length > 0) open();
  let emulation: Promise<Emulation> | undefined;
  const plan = async ({ platform }: ProcessSpec): Promise<EmulationPlan> => {
    if (!platform || (platform.os === 'linux' && isNative(platform.architecture))) return NATIVE;
    emulation ??= loadEmulation(open(), options.emulation);
    return (await emulation).plan(platform);
  };
  const close = async () => {
    // This comes before the control group is left, which also holds the shell of the user
    // namespace.
    await (await emulation)?.close();
    emulation = undefined;
    const closing = host;
    host = undefined;
    await closing?.close();
  };
  let closed: Promise<void> = Promise.resolve();
  const failures: unknown[] = [];
  const closeNext = () =>
    (closed = closed.then(close).catch((error: unknown) => void failures.push(error)));
  const holders = new Set<object>();
  return {
    async run(spec, io, signal) {
      await closed;
      const opened = open();
      using _ = io.warn && opened.warnings.listen(io.warn);
      return await runSandbox(opened, { ...spec, plan: await plan(spec) }, io, signal);
    },
    warm(network) {
      if (network !== 'default') return;
      const prepare = async () => {
        await closed;
        const opened = open();
        await Promise.all([opened.network(), opened.join()]);
      };
      // A failure is reported to the run that needs the network.
      prepare().catch(() => {});
    },
    probe: async () => probeRuntime(findRuntime(findProgram, options.runtime)),
    hold() {
      const holder = {};
      holders.add(holder);
      return {
        [Symbol.dispose]() {
          // A failure is reported to the caller that disposes of the executor.
          if (holders.delete(holder) && holders.size === 0) void closeNext();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await closeNext();
      if (failures.length > 0) throw failures[0];
    },
  };
}

const NATIVE: EmulationPlan = { kind: 'native' };

/** The module is loaded only when a step is for another processor, which is rare. */
async function loadEmulation(
  host: SandboxHost,
  options: EmulationOptions = {},
): Promise<Emulation> {
  const { createEmulation } = await import('./emulation/emulation.ts');
  return createEmulation(host.directory, options);
}
