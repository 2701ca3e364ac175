import { closeSync, constants as FS, openSync, writeFileSync } from 'node:fs';
import { attempt, writing } from '../../base/oserror.ts';

/**
 * Writes a report at `path`, or appends it there. `what` names it in messages. A fifo that nobody
 * reads is an error, because the build is over and waits for nobody. Throws KILN_FILE_UNWRITABLE.
 */
export function writeReport(
  what: string,
  path: string,
  text: string,
  mode: 'replace' | 'append',
): void {
  const how = mode === 'append' ? FS.O_APPEND : FS.O_TRUNC;
  attempt(writing(what, path), () => {
    const fd = openSync(path, FS.O_WRONLY | FS.O_CREAT | FS.O_NONBLOCK | how, 0o666);
    try {
      writeFileSync(fd, text);
    } finally {
      closeSync(fd);
    }
  });
}
