import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { startTime } from './proc.ts';

/** A name for the directory of this process. From it, others can tell whether the process lives. */
export function newProcessDirectory(): string {
  const random = randomBytes(3).toString('hex');
  return `${process.pid}-${startTime(process.pid)}-${pidNamespace()}-${random}`;
}

/**
 * The directories in `stateDir` whose process has ended, and whose watchdog has not removed them.
 * Directories of other pid namespaces are left out, because their processes are not visible here.
 */
export function staleDirectories(stateDir: string): string[] {
  const found = [];
  for (const name of listDirectory(stateDir)) {
    const [, pid, start, namespace] = /^(\d+)-(\d+)-(\d+)-[0-9a-f]{6}$/.exec(name) ?? [];
    if (pid === undefined || namespace !== pidNamespace() || startTime(Number(pid)) === start)
      continue;
    found.push(`${stateDir}/${name}`);
  }
  return found;
}

function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function pidNamespace(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
}
