import { createRequire } from 'node:module';

/** The part of koffi (koffi.dev) that is used, typed by the values that callers pass and get. */
export interface Koffi<Bound> {
  load(path: string | null): { func(prototype: string): Bound };
  errno(): number;
}

/**
 * Loads koffi's native part, which is all that koffi offers, from its package for this platform.
 * The package koffi itself would search several places, and read the header of Node's executable
 * to find its libc. That takes 14 ms instead of 2 (2-core VM, 2026-11), in every thread. Here the
 * part for musl is tried when the one for glibc cannot be loaded.
 */
export function loadKoffi<Bound>(): Koffi<Bound> {
  const load = createRequire(import.meta.url);
  const name = `@koromix/koffi-linux-${process.arch}`;
  const part = (libc: string) => load(`${name}/${libc}_${process.arch}/koffi.node`) as Koffi<Bound>;
  try {
    return part('linux');
  } catch (glibc) {
    try {
      return part('musl');
    } catch {
      throw glibc;
    }
  }
}
