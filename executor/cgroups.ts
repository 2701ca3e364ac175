import type { ResourceLimits } from './limits.ts';

/**
 * # Control groups
 *
 * What a sandbox needs of them: no device may be opened but the harmless ones (it may make device nodes, so nothing else would stop
 * it), and, where it is cheap, what the process used. How, by what the host has:
 *
 * - v2: a group for each process, made by the runtime, with its device program; one below ours, so that its counters can be read
 *   when it is gone.
 * - v1 and hybrid: one devices group, the same for all Kiln processes and never removed, entered by the main thread, from which every
 *   sandbox inherits. To enter a group takes the kernel 4 to 20 ms, in which this thread has
 *   other work, and so it does to leave one: nobody leaves. A process has groups of its own only when it is limited: to go into two and out again takes this thread 8 ms (2-core VM, 2026-11). Else
 *   wait4(2) counts, which does not know a peak of memory that is below our own.
 * - none, or not writable: no CAP_MKNOD in the sandbox and `nodev` on all it sees but /dev.
 */
export interface Cgroups {
  readonly mode: CgroupMode;
  /** True when devices must be kept away by other means. */
  readonly guardDevices: boolean;
  /** Directories of ours, to be removed by whoever outlives this process. */
  readonly directories: readonly string[];
  /** What to tell the runtime for one process. Throws KILN_LIMIT when a limit cannot be had. */
  place(id: string, wish: Wish): Placement;
  /** Runs `action` where this process may open every device it could before; not asynchronous. */
  outside<T>(action: () => T): T;
  leave(): void;
}

export interface Wish {
  /** A group by the runtime, with device rules of its own. */
  readonly own: boolean;
  /** The group under which the process is put; empty for ours. */
  readonly parent: string;
  readonly limits?: ResourceLimits | undefined;
}

export interface Placement {
  /** Arguments of crun before its command; runc takes none of them. */
  readonly manager: 'cgroupfs' | 'disabled';
  readonly path: string | undefined;
  /** Without `path`: the controllers of v1 in whose hierarchies the process has a group of its own all the same. */
  readonly controllers?: ReadonlySet<string>;
  /** Limits for the runtime to set, where it makes the group: `linux.resources`. */
  readonly resources?: Readonly<Record<string, unknown>> | undefined;
  /** Starts the runtime by `launch` where it belongs. */
  start<T extends { readonly pid: number }>(launch: () => T): T;
  /** Reads the counters and removes what `place` made, when the process is gone. Zeros when called again. */
  finish(): Counters;
}

export interface Counters {
  readonly cpuMs?: number | undefined;
  /** Bytes. */
  readonly peakMemory?: number | undefined;
  /** Undefined when it was not counted. */
  readonly oomKills?: number | undefined;
}

export type CgroupMode = 'v1' | 'v2' | 'hybrid' | 'none';
