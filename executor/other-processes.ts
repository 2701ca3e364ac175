import { rmSync, writeFileSync } from 'node:fs';
import { CancelledError, KilnError } from '../base/errors.ts';
import { openRoot } from '../snapshotter/sys/rooted.ts';
import type {
  OtherProcess,
  ProcessIO,
  ProcessResult,
  ProcessSpec,
  RunningProcess,
} from './executor.ts';
import {
  processFile,
  type RuntimeCommand,
  type Sandbox,
  type StartedProcess,
  superviseRuntime,
  throwStartFailure,
} from './runtime-process.ts';
import type { JoinedSandboxHost } from './sandbox-host.ts';
import { processConfig } from './spec.ts';
import { inState } from './state-files.ts';
import { resolveUser } from './user.ts';

/**
 * # More processes in a sandbox
 *
 * Each is started by the runtime in the namespaces and control groups of the first process `first`,
 * under the same filter of system calls. When the first process ends, the kernel kills the others.
 */
export class OtherProcesses {
  readonly #host: JoinedSandboxHost;
  readonly #sandbox: Sandbox;
  readonly #first: ProcessSpec;
  readonly #running = new Set<Promise<unknown>>();
  #count = 0;
  #isOver = false;

  constructor(host: JoinedSandboxHost, sandbox: Sandbox, first: ProcessSpec) {
    this.#host = host;
    this.#sandbox = sandbox;
    this.#first = first;
  }

  /** A running process, beside which others can be started. */
  beside({ kill, resize }: StartedProcess): RunningProcess {
    return {
      kill,
      resize,
      run: (spec, io, signal) => {
        const running = this.#run(spec, io, signal);
        this.#running.add(running);
        running.catch(() => {}).finally(() => this.#running.delete(running));
        return running;
      },
    };
  }

  /** The first process has ended. Settles when none of the others runs. */
  async ended(): Promise<void> {
    this.#isOver = true;
    await Promise.allSettled(this.#running);
  }

  async #run(spec: OtherProcess, io: ProcessIO, signal: AbortSignal): Promise<ProcessResult> {
    if (signal.aborted) throw new CancelledError(signal.reason);
    if (this.#isOver)
      throw new KilnError(
        'KILN_PROCESS_START',
        `cannot start ${spec.args[0] ?? 'the process'}: the first process of the sandbox has ended`,
      );
    const host = this.#host;
    using root = openRoot(this.#first.rootfs);
    const config = processConfig(
      { ...this.#first, ...spec, secretEnv: spec.secretEnv },
      {
        user: resolveUser(root, spec.user),
        terminal: io.lent?.terminal ?? false,
        guardDevices: host.cgroups.guardDevices,
        warn: io.warn ?? host.warnings.warn,
      },
    );
    const onStart = io.onStart && ((started: StartedProcess) => io.onStart?.(this.beside(started)));
    const suffix = `-${++this.#count}`;
    const command: RuntimeCommand = { sandbox: this.#sandbox, verb: 'exec', suffix, onStart };
    const file = processFile(command, 'process');
    try {
      inState(host.directory, () => writeFileSync(file, JSON.stringify(config), { mode: 0o600 }));
      const { code } = await superviseRuntime(host, command, io, signal);
      if (signal.aborted) throw new CancelledError(signal.reason);
      if (code !== 0) throwStartFailure(command, spec.args);
      return { exitCode: code, oomKilled: false };
    } finally {
      for (const name of ['process', 'pid', 'log'] as const)
        rmSync(processFile(command, name), { force: true });
    }
  }
}
