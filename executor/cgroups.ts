import type { ResourceLimits } from './limits.ts';

/**
 * # Control groups
 *
 * A sandbox needs control groups for two things. They keep it from opening devices other than the
 * harmless ones: it may make device nodes, so nothing else would stop it. And they count, where
 * that is cheap, what the process used. The way depends on the host:
 *
 * - v2: the runtime makes a group with a device program for each process. The group is below one of
 *   Kiln's, so that its counters can be read after the runtime has removed its own.
 * - v1 and hybrid: one devices group, the same for all Kiln processes, which is never removed. The
 *   main thread enters it, and every sandbox inherits it. Entering or leaving a group takes the
 *   kernel 4 to 20 ms. The thread does other work while it enters, and it never leaves. A process
 *   has groups of its own only when it is limited: entering two and leaving them takes this thread
 *   8 ms (2-core VM, 2026-11). Otherwise wait4(2) counts, which cannot see a peak of memory that is
 *   below that of this process.
 * - none, or not writable: the sandbox has no CAP_MKNOD, and everything it sees except /dev is
 *   mounted `nodev`.
 */
export interface Cgroups {
  readonly mode: CgroupMode;
  /** True when devices must be protected by other means. */
  readonly guardDevices: boolean;
  /** Directories of this process that the watchdog must remove after it. */
  readonly directories: readonly string[];
  /** Prepares the groups of one process. Throws KILN_LIMIT when a limit cannot be set. */
  place(id: string, wish: Wish): Placement;
  /**
   * Runs `action` where this process may open every device that it could open before. `action` must
   * not be asynchronous.
   */
  outside<T>(action: () => T): T;
  leave(): void;
}

export interface Wish {
  /** True when the runtime must make a group with its own device rules. */
  readonly own: boolean;
  /** The group below which the process is put. Empty means Kiln's own group. */
  readonly parent: string;
  readonly limits?: ResourceLimits | undefined;
}

export interface Placement {
  /** What crun gets for `--cgroup-manager`. runc does not take this argument. */
  readonly manager: 'cgroupfs' | 'disabled';
  readonly path: string | undefined;
  /**
   * The directories on the host of the process's own groups on v1, by controller. Set where it has
   * such groups although the spec has no cgroup path.
   */
  readonly groups?: ReadonlyMap<string, string>;
  /** Limits that the runtime sets, where it makes the group: `linux.resources`. */
  readonly resources?: Readonly<Record<string, unknown>> | undefined;
  /** Starts the runtime, by `launch`, in the right groups. */
  start<T extends { readonly pid: number }>(launch: () => T): T;
  /**
   * Reads the counters and removes what `place` made, after the process has ended. A second call
   * returns empty counters.
   */
  finish(): Counters;
}

export interface Counters {
  readonly cpuMs?: number | undefined;
  /** Bytes. */
  readonly peakMemory?: number | undefined;
  /** Undefined when kills were not counted. */
  readonly oomKills?: number | undefined;
}

export type CgroupMode = 'v1' | 'v2' | 'hybrid' | 'none';
