import { fdatasync } from 'node:fs';

/**
 * Waits on a thread of the libuv pool until the bytes of an open file are on disk. Calls at the
 * same time share one commit of the file system's journal.
 */
export function datasync(fd: number): Promise<void> {
  return new Promise((done, fail) => fdatasync(fd, (error) => (error ? fail(error) : done())));
}
