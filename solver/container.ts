import type { Platform } from '../base/platform.ts';
import type { NetMode, SecurityMode } from './llb/enums.ts';
import type { ExecMeta, ExecOp } from './llb/exec-op.ts';
import type { Mount } from './llb/mount.ts';
import type { BuildResult } from './result.ts';
import type { StepSession } from './step-session.ts';

/**
 * # A container of results
 *
 * Somebody who looks into a build, or a frontend, runs processes over the results of steps. A
 * container has the mounts of a step, but makes no layer: what its processes write is lost when it
 * is disposed. It lives as long as its owner, not as long as one process.
 *
 *     await using container = await worker.openContainer({ mounts, ... }, session, signal);
 *     const process = await container.start({ meta, ... }, told, signal);
 *     await process.exited;
 *
 * Its first process makes the sandbox, and others are started in that. They end with the first one.
 */
export interface Container extends AsyncDisposable {
  /** True while a process of it runs. */
  readonly isBusy: boolean;
  /**
   * Its root and the directories that are mounted in it, as this process reaches them. What is lent
   * to its processes, and what is only in memory, is not among them. Their content is hostile.
   */
  readonly trees: readonly ContainerTree[];
  /**
   * Starts a process, and resolves when it runs. `signal` kills it. Rejects with KILN_NOT_ALLOWED,
   * KILN_SECRET_NOT_FOUND, or KILN_PROCESS_START, also after the first process has ended.
   */
  start(
    command: ContainerCommand,
    output: ContainerOutput,
    signal: AbortSignal,
  ): Promise<ContainerProcess>;
}

export interface ContainerTree {
  /** Where it is in the container, an absolute path. */
  readonly dest: string;
  readonly directory: string;
}

/** What a container is made of. Owners of mounts, and what they lend, are those of a step. */
export interface ContainerSpec {
  /** The mounts, as in an ExecOp; `input` is not used. One of them is the root `/`. */
  readonly mounts: readonly ContainerMount[];
  readonly network: NetMode;
  readonly hostname: string;
  readonly extraHosts: NonNullable<ExecMeta['extraHosts']>;
  /** The platform of the programs; that of the worker when absent. */
  readonly platform?: Platform | undefined;
}

export interface ContainerMount {
  readonly mount: Mount;
  /** What is mounted of. Undefined for nothing. */
  readonly result: BuildResult | undefined;
}

/** One process of a container. */
export interface ContainerCommand {
  /** Of these, the hosts and the host's name are those of the container. */
  readonly meta: ExecMeta;
  readonly security: SecurityMode;
  readonly secretenv: NonNullable<ExecOp['secretenv']>;
  /** The streams that are open: 0, 1 and 2. The others are /dev/null. */
  readonly streams: ReadonlySet<number>;
  /** True gives the process a terminal, of which stream 1 is the output. */
  readonly terminal: boolean;
}

/**
 * Receives what a process writes; undefined at the end of a stream. The process waits until the
 * promise settles.
 */
export type ContainerOutput = (stream: 1 | 2, bytes: Uint8Array | undefined) => Promise<void>;

/** A process that runs. When it has ended, its methods do nothing. */
export interface ContainerProcess {
  /** Its exit code, after all output was received. Rejects with CancelledError if it was killed. */
  readonly exited: Promise<number>;
  /** Settles when the bytes are on their way to the process. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends its input. */
  end(): void;
  resize(rows: number, columns: number): void;
  /** Sends a signal, by its number. */
  kill(signal: number): void;
}

/** Opens containers on a host. Rejects with the errors of mounts, and KILN_GRAPH_INVALID. */
export type OpenContainer = (
  spec: ContainerSpec,
  session: StepSession,
  signal: AbortSignal,
) => Promise<Container>;
