/** The most that one sandbox may use. An absent field is no limit. */
export interface ResourceLimits {
  /** Bytes. */
  readonly memory?: number | undefined;
  /**
   * Bytes of memory and swap together, as Docker counts them. -1 does not limit swap. Twice the
   * memory when absent.
   */
  readonly memorySwap?: number | undefined;
  /** Microseconds of processor time in each period. */
  readonly cpuQuota?: number | undefined;
  /** Microseconds. */
  readonly cpuPeriod?: number | undefined;
  /** A weight relative to other groups; the default of the kernel is 1024. */
  readonly cpuShares?: number | undefined;
  /** A list of processors such as `0-2,4`. */
  readonly cpusetCpus?: string | undefined;
  /** A list of memory nodes such as `0-2,4`. */
  readonly cpusetMems?: string | undefined;
  /** The number of processes and threads. */
  readonly pids?: number | undefined;
}

export type Controller = 'memory' | 'cpu' | 'cpuset' | 'pids';

/** One value for one file of a control group. */
export interface Setting {
  readonly controller: Controller;
  readonly file: string;
  readonly value: string;
  /** True when a kernel without this file is accepted. */
  readonly optional?: boolean;
}

const PERIOD = 100_000;

/** The settings of cgroup v2 (kernel documentation, admin-guide/cgroup-v2). */
export function unifiedSettings(limits: ResourceLimits): readonly Setting[] {
  const { memory, cpuQuota, cpuPeriod, cpuShares, cpusetCpus, cpusetMems, pids } = limits;
  const swap = swapOf(limits);
  return listed([
    memory !== undefined && { controller: 'memory', file: 'memory.max', value: String(memory) },
    swap !== undefined &&
      memory !== undefined && {
        controller: 'memory',
        file: 'memory.swap.max',
        value: swap < 0 ? 'max' : String(swap - memory),
        optional: true,
      },
    (cpuQuota !== undefined || cpuPeriod !== undefined) && {
      controller: 'cpu',
      file: 'cpu.max',
      value: `${cpuQuota !== undefined && cpuQuota > 0 ? cpuQuota : 'max'} ${cpuPeriod ?? PERIOD}`,
    },
    cpuShares !== undefined && {
      controller: 'cpu',
      file: 'cpu.weight',
      value: String(weightOf(cpuShares)),
    },
    cpusetCpus !== undefined && { controller: 'cpuset', file: 'cpuset.cpus', value: cpusetCpus },
    cpusetMems !== undefined && { controller: 'cpuset', file: 'cpuset.mems', value: cpusetMems },
    pids !== undefined && { controller: 'pids', file: 'pids.max', value: String(pids) },
  ]);
}

/** The settings of cgroup v1 (admin-guide/cgroup-v1), in an order that the kernel accepts. */
export function legacySettings(limits: ResourceLimits): readonly Setting[] {
  const { memory, cpuQuota, cpuPeriod, cpuShares, cpusetCpus, cpusetMems, pids } = limits;
  const swap = swapOf(limits);
  return listed([
    memory !== undefined && {
      controller: 'memory',
      file: 'memory.limit_in_bytes',
      value: String(memory),
    },
    swap !== undefined && {
      controller: 'memory',
      file: 'memory.memsw.limit_in_bytes',
      value: String(swap),
      optional: true,
    },
    cpuPeriod !== undefined && {
      controller: 'cpu',
      file: 'cpu.cfs_period_us',
      value: String(cpuPeriod),
    },
    cpuQuota !== undefined && {
      controller: 'cpu',
      file: 'cpu.cfs_quota_us',
      value: String(cpuQuota),
    },
    cpuShares !== undefined && { controller: 'cpu', file: 'cpu.shares', value: String(cpuShares) },
    cpusetCpus !== undefined && { controller: 'cpuset', file: 'cpuset.cpus', value: cpusetCpus },
    cpusetMems !== undefined && { controller: 'cpuset', file: 'cpuset.mems', value: cpusetMems },
    // One more, because the runtime itself waits in the same group.
    pids !== undefined && { controller: 'pids', file: 'pids.max', value: String(pids + 1) },
  ]);
}

/**
 * The same limits for a runtime that makes the group itself: `linux.resources` (runtime-spec
 * config-linux.md).
 */
export function runtimeResources(limits: ResourceLimits): Readonly<Record<string, unknown>> {
  const { memory, cpuQuota, cpuPeriod, cpuShares, cpusetCpus, cpusetMems, pids } = limits;
  return compact({
    memory: compact({ limit: memory, swap: swapOf(limits) }),
    cpu: compact({
      quota: cpuQuota,
      period: cpuPeriod,
      shares: cpuShares,
      cpus: cpusetCpus,
      mems: cpusetMems,
    }),
    pids: compact({ limit: pids }),
  });
}

export function hasLimits(limits: ResourceLimits | undefined): limits is ResourceLimits {
  return limits !== undefined && Object.values(limits).some((value) => value !== undefined);
}

function swapOf({ memory, memorySwap }: ResourceLimits): number | undefined {
  if (memory === undefined) return undefined;
  return memorySwap === undefined || memorySwap === 0 ? memory * 2 : memorySwap;
}

/** Converts shares (2 to 262144) to a weight (1 to 10000) by the runtimes' formula. */
function weightOf(shares: number): number {
  return 1 + Math.floor(((Math.min(Math.max(shares, 2), 262_144) - 2) * 9999) / 262_142);
}

function listed(settings: readonly (Setting | false)[]): readonly Setting[] {
  return settings.filter((setting) => setting !== false);
}

function compact(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(values).filter(
      ([, value]) =>
        value !== undefined &&
        !(typeof value === 'object' && value !== null && Object.keys(value).length === 0),
    ),
  );
}
