import type { Platform } from '../base/platform.ts';
import type { DeviceEdits } from './cdi/edits.ts';
import type { ResourceLimits } from './limits.ts';

/**
 * # One process in a sandbox
 *
 * `run` starts `spec.args` in a fresh set of namespaces over the mounted tree `spec.rootfs` and answers when it, and everything it
 * started, is gone. Aborting the signal kills the sandbox's pid namespace with SIGKILL; `run` then rejects with CancelledError, only
 * when nothing is left. A process that could not be started at all rejects with KILN_PROCESS_START,
 * one that only an emulator could run, and none is to be had, with KILN_NO_EMULATION.
 * Nothing of the builder's environment or file descriptors is inside. What the executor puts into the tree for the time of the
 * run (mount points, /etc/resolv.conf, /etc/hosts) is gone from it when `run` answers, and parents' times are as they were. Only the
 * directories /proc, /sys, /dev and `cwd` stay where the tree had none, as with BuildKit.
 */
export interface Executor {
  run(spec: ProcessSpec, io: ProcessIO, signal: AbortSignal): Promise<ProcessResult>;
  /** A sandbox with this network will soon be run: what takes time to set up is begun. */
  warm?(network: ProcessSpec['network']): void;
  /** Which runtime was found, and what it lacks; probed once. Throws KILN_NO_RUNTIME with the command that installs one. */
  probe(): Promise<RuntimeInfo>;
}

export interface ProcessSpec {
  /** Path of the mounted root, in this process's mount namespace. */
  readonly rootfs: string;
  readonly args: readonly string[];
  /** `NAME=value`, exactly these. */
  readonly env: readonly string[];
  /** More of them, whose values are secrets: they are written to no disk. */
  readonly secretEnv?: readonly string[] | undefined;
  /** Absolute path in the sandbox; created (0755, root) when absent. */
  readonly cwd: string;
  /** As in USER: `name`, `uid`, `name:group`, `uid:gid`; looked up in the root's passwd and group. Empty is root. */
  readonly user: string;
  readonly hostname: string;
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly mounts: readonly MountSpec[];
  /** Extra lines for /etc/hosts. */
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  /** Bytes; 0 is the default of 64 MiB. */
  readonly shmSize: number;
  readonly cgroupParent: string;
  readonly limits?: ResourceLimits | undefined;
  /** Devices of the host. */
  readonly devices?: readonly DeviceEdits[] | undefined;
  readonly readonlyRootfs: boolean;
  /** What the programs in the tree are made for; this host when absent. For another processor's an emulator is found. */
  readonly platform?: Platform | undefined;
}

/** What is mounted where, besides the root. `source` is a host path that the executor may trust: resolved by whoever
 * made the spec. `/proc/self/fd/N`, or with this process's number, names what the descriptor is open on. */
export type MountSpec =
  | {
      readonly kind: 'bind';
      readonly source: string;
      readonly target: string;
      readonly readonly: boolean;
      /** A device node that may be opened, wherever it stands. */
      readonly device?: boolean;
    }
  /** `mode` of its top: what the executor finds at the target, unless told; 1777 where nothing is. */
  | { readonly kind: 'tmpfs'; readonly target: string; readonly size: number; readonly mode?: number | undefined };

export interface ProcessIO {
  /** Called with each chunk as it is written, in order; 1 is stdout, 2 is stderr. */
  readonly output: (stream: 1 | 2, data: Uint8Array) => void;
  /** Bytes for standard input; empty when absent. */
  readonly stdin?: Uint8Array;
  /** Streams that the caller lends to the process (`kiln run -it`); `output` is not called then. */
  readonly lent?: LentStreams | undefined;
}

/** What a process gets as its own standard input, output and error. */
export interface LentStreams {
  readonly descriptors: readonly [stdin: number, stdout: number, stderr: number];
  /** They are a terminal. */
  readonly terminal: boolean;
}

export interface ProcessResult {
  /** The exit code; 128 + signal number when a signal ended it. */
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** The emulator that ran it (`qemu-aarch64-static`), when one did. */
  readonly emulator?: string;
  /** What it used; `peakMemory` in bytes, absent where it cannot be known. */
  readonly usage?: { readonly cpuMs: number; readonly peakMemory?: number | undefined };
}

export interface RuntimeInfo {
  readonly name: 'crun' | 'runc';
  readonly path: string;
  readonly version: string;
  /** Sentences to be shown by `kiln doctor`. */
  readonly warnings: readonly string[];
}
