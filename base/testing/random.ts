/** Random choices that are repeatable by their seed. */
export interface Random {
  /** A whole number from 0 up to, but not including, `below`. */
  int(below: number): number;
  /** True in one of `of` cases. */
  one(of: number): boolean;
  pick<T>(list: readonly T[]): T;
  /**
   * One of `good`, and in a few cases one of `bad`. A bad choice is likely to be refused, and a
   * refused build tests nothing else.
   */
  mostly<T>(good: readonly T[], bad: readonly T[]): T;
  /** Between `least` and `most` results of `make`. */
  some<T>(least: number, most: number, make: () => T): T[];
}

/** The mulberry32 generator. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (below: number) => Math.floor(next() * below);
  return {
    int,
    one: (of) => int(of) === 0,
    pick: (list) => list[int(list.length)]!,
    mostly: (good, bad) => {
      const list = int(40) === 0 ? bad : good;
      return list[int(list.length)]!;
    },
    some: (least, most, make) => Array.from({ length: least + int(most - least + 1) }, make),
  };
}
