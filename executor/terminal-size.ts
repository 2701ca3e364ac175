import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { bind } from '../snapshotter/sys/native.ts';

// ioctl_tty(2) of Linux, and its system calls since 5.6, the same on x86_64 and arm64.
const TIOCSWINSZ = 0x5414;
const PIDFD_OPEN = 434;
const PIDFD_GETFD = 438;

const c = {
  ioctl: bind('int ioctl(int, uint64_t, void *)'),
  syscall: bind('int64_t syscall(int64_t, int64_t, int64_t, int64_t)'),
};

/** Gives a terminal its size. Programs on it get SIGWINCH. Returns false when that fails. */
export function setTerminalSize(fd: number, rows: number, columns: number): boolean {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(Math.min(rows, 0xffff), 0);
  size.writeUInt16LE(Math.min(columns, 0xffff), 2);
  return c.ioctl(fd, TIOCSWINSZ, size) >= 0;
}

/**
 * Gives the terminal inside a sandbox its size, by the runtime's own end of it: crun 1.8 does not
 * pass a size on. Returns false where the runtime has none, or does not let it be taken.
 */
export function resizeInside(runtimePid: number, rows: number, columns: number): boolean {
  const end = terminalEnd(runtimePid);
  if (end === undefined) return false;
  const pidfd = c.syscall(PIDFD_OPEN, runtimePid, 0, 0);
  if (pidfd < 0) return false;
  try {
    const fd = c.syscall(PIDFD_GETFD, pidfd, end, 0);
    if (fd < 0) return false;
    const isDone = setTerminalSize(fd, rows, columns);
    closeSync(fd);
    return isDone;
  } finally {
    closeSync(pidfd);
  }
}

function terminalEnd(pid: number): number | undefined {
  try {
    const directory = `/proc/${pid}/fd`;
    const found = readdirSync(directory).find((name) =>
      /\/ptmx( \(deleted\))?$/.test(readlinkSync(`${directory}/${name}`)),
    );
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}
