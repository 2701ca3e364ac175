/**
 * The enums of LLB messages (BuildKit solver/pb/ops.proto). Their numbers are written nowhere else.
 */

/** pb.NetMode. `default` is the private network of the sandbox. */
export const NET_MODE = { default: 0, host: 1, none: 2 } as const;
export type NetMode = ValueOf<typeof NET_MODE>;

/** pb.SecurityMode */
export const SECURITY_MODE = { sandbox: 0, insecure: 1 } as const;
export type SecurityMode = ValueOf<typeof SECURITY_MODE>;

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
