import { createRequire } from 'node:module';

/** What is used of koffi (koffi.dev), by what values its callers pass and get. */
export interface Koffi<Bound> {
  load(path: string | null): { func(prototype: string): Bound };
  errno(): number;
}

/**
 * koffi's native part, which is all that it has to offer, from the package for this platform. koffi
 * itself looks for that in several places, and into the header of Node's own file to see for which
 * libc it was made: 14 ms instead of 2 (2-core VM, 2026-11), in every thread. It does that here
 * only where the package for glibc cannot be loaded.
 */
export function loadKoffi<Bound>(): Koffi<Bound> {
  const load = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch}`;
  try {
    return load(`@koromix/koffi-${platform}/${platform.replace('-', '_')}/koffi.node`) as Koffi<Bound>;
  } catch {
    return load('koffi') as Koffi<Bound>;
  }
}
