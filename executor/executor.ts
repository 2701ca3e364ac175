import type { Platform } from '../base/platform.ts';
import type { DeviceEdits } from './cdi/edits.ts';
import type { WarnUser } from './host-warnings.ts';
import type { ResourceLimits } from './limits.ts';

/**
 * # One process in a sandbox
 *
 * `run` starts `spec.args` in new namespaces over the mounted tree `spec.rootfs`. It resolves when
 * the process, and everything that it started, has ended.
 *
 * Aborting the signal kills the sandbox's pid namespace with SIGKILL. `run` then rejects with
 * CancelledError, once nothing is left. A process that could not be started rejects with
 * KILN_PROCESS_START. A process that needs an emulator where none is installed rejects with
 * KILN_NO_EMULATION.
 *
 * The sandbox has nothing of the builder's environment or file descriptors. The executor puts mount
 * points, /etc/resolv.conf and /etc/hosts into the tree for the time of the run. They are removed
 * before `run` resolves, and their parents' times are restored. Only the directories /proc, /sys,
 * /dev and `cwd` remain where the tree had none, as with BuildKit.
 */
export interface Executor {
  run(spec: ProcessSpec, io: ProcessIO, signal: AbortSignal): Promise<ProcessResult>;
  /** Says that a sandbox with this network will soon run, so that slow set-up can begin. */
  warm?(network: ProcessSpec['network']): void;
  /**
   * The runtime that was found, and what it lacks. It is probed once. Throws KILN_NO_RUNTIME with
   * the command that installs one.
   */
  probe(): Promise<RuntimeInfo>;
}

export interface ProcessSpec {
  /** Path of the mounted root, in this process's mount namespace. */
  readonly rootfs: string;
  readonly args: readonly string[];
  /** The whole environment, as `NAME=value`. */
  readonly env: readonly string[];
  /** More variables, whose values are secrets: they are never written to a disk. */
  readonly secretEnv?: readonly string[] | undefined;
  /** An absolute path in the sandbox. It is made (0755, root) when absent. */
  readonly cwd: string;
  /**
   * As in USER: `name`, `uid`, `name:group`, `uid:gid`. It is looked up in the tree's passwd and
   * group. Empty is root.
   */
  readonly user: string;
  readonly hostname: string;
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly mounts: readonly MountSpec[];
  /** Extra lines for /etc/hosts. */
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly ulimits: readonly {
    readonly name: string;
    readonly soft: number;
    readonly hard: number;
  }[];
  /** Bytes. 0 means the default of 64 MiB. */
  readonly shmSize: number;
  readonly cgroupParent: string;
  readonly limits?: ResourceLimits | undefined;
  /** Devices of the host. */
  readonly devices?: readonly DeviceEdits[] | undefined;
  readonly readonlyRootfs: boolean;
  /**
   * The platform of the programs in the tree; this host's when absent. For another processor an
   * emulator is used.
   */
  readonly platform?: Platform | undefined;
}

/**
 * One mount besides the root. `source` is a host path that the executor may trust, because the
 * maker of the spec has resolved it. `/proc/self/fd/N`, or the same with this process's number,
 * names what the descriptor is open on.
 */
export type MountSpec =
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly target: string;
      readonly readonly: boolean;
      /** True for a device node that may be opened, wherever it is mounted. */
      readonly device?: boolean;
    }
  /**
   * `mode` is that of the top directory. When absent it is the mode of the directory at the target,
   * or 1777 where there is none.
   */
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      readonly size: number;
      readonly mode?: number | undefined;
    };

export interface ProcessIO {
  /** Called with each chunk as it is written, in order; 1 is stdout, 2 is stderr. */
  readonly output: (stream: 1 | 2, data: Uint8Array) => void;
  /** Bytes for standard input; empty when absent. */
  readonly stdin?: Uint8Array;
  /** Streams that the caller lends to the process (`kiln run -it`). `output` is not called then. */
  readonly lent?: LentStreams | undefined;
  /** Called once when the process runs. It is not called for one that cannot be started. */
  readonly onStart?: ((process: RunningProcess) => void) | undefined;
  /** Receives warnings about the host, and about what this process cannot have. */
  readonly warn?: WarnUser | undefined;
}

/** The standard input, output and error of the process. */
export interface LentStreams {
  readonly descriptors: readonly [stdin: number, stdout: number, stderr: number];
  /** True when the streams are a terminal. */
  readonly terminal: boolean;
  /** True keeps the signals of this process's own terminal away from the process. */
  readonly ownSession?: boolean | undefined;
}

/** A process that runs in a sandbox. When it has ended, its methods do nothing. */
export interface RunningProcess {
  /** Sends a signal, by its number. */
  kill(signal: number): void;
  /** Gives the terminal of the process the size of the one that was lent, which has changed. */
  resize(rows: number, columns: number): void;
  /**
   * Starts another process in the same sandbox: it has the same files, network and limits, and ends
   * with the first process at the latest. Otherwise as `Executor.run`.
   */
  run(spec: OtherProcess, io: ProcessIO, signal: AbortSignal): Promise<ProcessResult>;
}

/** What another process of a sandbox has of its own. */
export type OtherProcess = Pick<
  ProcessSpec,
  'args' | 'env' | 'secretEnv' | 'cwd' | 'user' | 'ulimits'
>;

export interface ProcessResult {
  /** The exit code, or 128 + the number of the signal that ended the process. */
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** The emulator that ran the process (`qemu-aarch64-static`), if any. */
  readonly emulator?: string;
  /** What the process used. `peakMemory` is in bytes, and absent where it cannot be known. */
  readonly usage?: { readonly cpuMs: number; readonly peakMemory?: number | undefined };
}

export interface RuntimeInfo {
  readonly name: 'crun' | 'runc';
  readonly path: string;
  readonly version: string;
  /** Sentences that `kiln doctor` shows. */
  readonly warnings: readonly string[];
}
