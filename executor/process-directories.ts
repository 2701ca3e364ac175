import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { startTime } from './proc.ts';

/** A name for the directory of this process. It tells later processes whether this one lives. */
export function newProcessDirectory(): string {
  const random = randomBytes(3).toString('hex');
  return `${process.pid}-${startTime(process.pid)}-${pidNamespace()}-${random}`;
}

/**
 * The directories in `stateDir` of processes of this pid namespace that have ended, and whose
 * watchdogs have removed nothing. Nothing can be known of other pid namespaces.
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
