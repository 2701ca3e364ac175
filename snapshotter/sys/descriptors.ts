import { bind, check } from './native.ts';

const F_SETFD = 2;

const c = { fcntl: bind('int fcntl(int, int, int)') };

/** Lets a program that replaces this process inherit the descriptor `fd` (fcntl(2), FD_CLOEXEC). */
export function keepOnExec(fd: number): void {
  check(c.fcntl(fd, F_SETFD, 0), 'fcntl');
}
