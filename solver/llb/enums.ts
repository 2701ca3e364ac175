/**
 * The enums of LLB messages (BuildKit solver/pb/ops.proto). Their numbers are written nowhere else.
 */

/** pb.NetMode. `default` is the private network of the sandbox. */
export const NET_MODE = { default: 0, host: 1, none: 2 } as const;
export type NetMode = ValueOf<typeof NET_MODE>;

/** pb.SecurityMode */
export const SECURITY_MODE = { sandbox: 0, insecure: 1 } as const;
export type SecurityMode = ValueOf<typeof SECURITY_MODE>;

/** pb.MountType */
export const MOUNT_TYPE = { bind: 0, secret: 1, ssh: 2, cache: 3, tmpfs: 4 } as const;
export type MountType = ValueOf<typeof MOUNT_TYPE>;

/** pb.CacheSharingOpt */
export const CACHE_SHARING = { shared: 0, private: 1, locked: 2 } as const;
export type CacheSharingNumber = ValueOf<typeof CACHE_SHARING>;

/** pb.MountContentCache */
export const CONTENT_CACHE = { default: 0, on: 1, off: 2 } as const;
export type ContentCache = ValueOf<typeof CONTENT_CACHE>;

type ValueOf<E> = E[keyof E];

/**
 * The name of a number. Undefined if the enum does not have it, as a graph from elsewhere may hold
 * any number.
 */
export function enumName<N extends string>(
  numbers: Readonly<Record<N, number>>,
  number: number,
): N | undefined {
  for (const name in numbers) if (numbers[name] === number) return name;
  return undefined;
}
