import { readFileSync, readlinkSync } from 'node:fs';
import type { PassedSocket } from '../api/grpc/listen-address.ts';

/** The first descriptor that systemd passes (SD_LISTEN_FDS_START). */
const FIRST = 3;

/**
 * Returns the sockets that systemd passes to the process `pid`, in the order of the socket unit
 * (sd_listen_fds(3)). `env` is the environment of the process.
 */
export function passedSockets(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): readonly PassedSocket[] {
  if (Number(env['LISTEN_PID']) !== pid) return [];
  const count = Number(env['LISTEN_FDS']);
  if (!Number.isInteger(count) || count < 1) return [];
  return Array.from({ length: count }, (_, index) => ({
    fd: FIRST + index,
    kind: isUnix(FIRST + index) ? 'unix' : 'tcp',
  }));
}

/** The kernel lists the sockets of the unix domain with their inodes. */
function isUnix(fd: number): boolean {
  try {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    const lines = readFileSync('/proc/net/unix', 'latin1').split('\n');
    return lines.some((line) => line.trim().split(/\s+/)[6] === inode);
  } catch {
    return false;
  }
}
