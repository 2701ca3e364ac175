import { readFileSync } from 'node:fs';

/** Facts about processes from proc(5). */

/**
 * The fields of /proc/PID/stat after the name: [0] is the state, [1] the parent. Undefined when the
 * process does not exist.
 */
export function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/**
 * When a process started, in clock ticks since boot (field 22). The pid and this time together
 * always identify one process.
 */
export function startTime(pid: number): string | undefined {
  return statFields(pid)?.[19];
}
