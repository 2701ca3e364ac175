import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openLibrary } from './native.ts';

let collect: (() => void) | undefined;
let trim: ((keep: number) => unknown) | undefined;

/**
 * Gives memory that is not used any more back to the system, for a process that goes on and does
 * nothing for now. V8 collects garbage only when something new is made, and glibc keeps what is
 * freed. Other libcs have no such call. Takes some ten milliseconds.
 */
export function releaseMemory(): void {
  collect ??= collector();
  collect();
  try {
    trim ??= openLibrary(null)?.func('int malloc_trim(size_t)');
  } catch {
    trim = () => 0;
  }
  trim?.(0);
}

/** V8's garbage collection, which contexts have that are made under this flag. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
