import { constants, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { deviceNumber } from '../../../base/device-number.ts';
import type { ClientSession } from '../client-session.ts';
import { goMode } from '../filesync/go-mode.ts';
import type { FileStat } from '../filesync/packet.ts';
import { sendFiles } from '../filesync/send-files.ts';
import { EXPORTER_ID, FILE_SEND } from './send-bytes.ts';

const FOLLOWING_NOTHING = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Sends the tree at `root`, a directory of ours that nobody changes, to the client as the output
 * `id`. Settles when the client has it whole.
 */
export async function sendDirectory(
  session: ClientSession,
  id: string,
  root: string,
  signal: AbortSignal,
): Promise<void> {
  const stream = session.client.stream(FILE_SEND, { [EXPORTER_ID]: id }, signal);
  await sendFiles(stream, {
    files: walk(root),
    open: (path) => openSync(join(root, path), FOLLOWING_NOTHING),
  });
}

/** All that is below `root`, each directory before what is in it, names in the order of bytes. */
function* walk(root: string): Generator<FileStat> {
  const first = new Map<bigint, string>();
  const pending: string[] = [];
  const below = (directory: string) => {
    const names = readdirSync(join(root, directory));
    names.sort((a, b) => Buffer.compare(Buffer.from(b), Buffer.from(a)));
    pending.push(...names.map((name) => (directory === '' ? name : `${directory}/${name}`)));
  };
  below('');
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const place = join(root, path);
    const stat = lstatSync(place, { bigint: true });
    const mode = goMode(Number(stat.mode));
    const isFile = stat.isFile();
    const earlier = isFile && stat.nlink > 1n ? first.get(stat.ino) : undefined;
    if (isFile && !earlier) first.set(stat.ino, path);
    yield {
      path,
      mode,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: isFile ? Number(stat.size) : 0,
      modTime: stat.mtimeNs,
      ...((stat.isCharacterDevice() || stat.isBlockDevice()) && {
        device: deviceNumber(stat.rdev),
      }),
      linkname: stat.isSymbolicLink() ? readlinkSync(place) : (earlier ?? ''),
      xattrs: new Map(),
    };
    if (stat.isDirectory()) below(path);
  }
}
