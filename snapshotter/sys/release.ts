import { readFileSync } from 'node:fs';
import { type CollectGarbage, openCollector } from './garbage.ts';
import { openLibrary } from './native.ts';

interface Calls {
  /** Undefined where the libc has no such call. */
  readonly trim: ((keep: number) => unknown) | undefined;
  readonly advise: (address: bigint, length: bigint, advice: number) => unknown;
}

let collect: CollectGarbage | undefined;
let calls: Calls | undefined;

const MADV_DONTNEED = 4;

/**
 * Gives memory that is not used any more back to the system, for a process that goes on and does
 * nothing for now. V8 collects garbage only when something new is made, and glibc keeps what is
 * freed. Pages of programs and libraries stay in the page cache, from where a process that runs on
 * has them back in microseconds. Takes some ten milliseconds.
 */
export function releaseMemory(): void {
  collect ??= openCollector();
  collect();
  calls ??= openCalls();
  if (!calls) return;
  calls.trim?.(0);
  for (const { start, end } of unchangedMappings(readFileSync('/proc/self/smaps', 'latin1')))
    calls.advise(start, end - start, MADV_DONTNEED);
}

function openCalls(): Calls | undefined {
  const libc = openLibrary(null);
  if (!libc) return undefined;
  const advise = libc.func('int madvise(uintptr_t address, size_t length, int advice)');
  try {
    return { advise, trim: libc.func('int malloc_trim(size_t)') };
  } catch {
    return { advise, trim: undefined };
  }
}

/**
 * The mappings of files, from `/proc/self/smaps`, which nobody can have written to: all of their
 * pages are those of the file.
 */
export function unchangedMappings(smaps: string): { start: bigint; end: bigint }[] {
  return smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).flatMap((text) => {
    const [, start, end] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ [1-9]\d* +\//.exec(text) ?? [];
    if (start === undefined || !/^Anonymous: +0 kB$/m.test(text)) return [];
    return [{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }];
  });
}
