import { createRequire } from 'node:module';

/** The part of koffi (koffi.dev) that is used, typed by the values that callers pass and get. */
export interface Koffi<Bound> {
  load(path: string | null): { func(prototype: string): Bound };
  errno(): number;
}

/**
 * Loads koffi's native part, which is all that koffi offers, from the package for this platform.
 * koffi itself would search several places, and read the header of Node's executable to find its
 * libc. That takes 14 ms instead of 2 (2-core VM, 2026-11), in every thread. It is done here only
 * where the package for glibc cannot be loaded.
 */
export function loadKoffi<Bound>(): Koffi<Bound> {
  const load = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch}`;
  try {
    return load(
      `@koromix/koffi-${platform}/${platform.replace('-', '_')}/koffi.node`,
    ) as Koffi<Bound>;
  } catch {
    return load('koffi') as Koffi<Bound>;
  }
}
