import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import type { InnerStream } from '../../grpc/inner-client.ts';
import type { ClientSession } from '../client-session.ts';
import { goMode } from '../filesync/go-mode.ts';
import { type FileStat, PACKET, packetBytes, readPacket, statPacket } from '../filesync/packet.ts';
import { EXPORTER_ID, FILE_SEND } from './send-bytes.ts';

/** A packet carries so many bytes of a file. */
const CHUNK = 256 << 10;
/** So many files are told at once. */
const TOLD_TOGETHER = 200;

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
  const files: FileStat[] = [];
  const telling = tell(stream, root, files);
  // A failure ends the stream, and is told below.
  telling.catch(() => {});
  for await (const messages of stream.receive())
    for (const message of messages) {
      const packet = readPacket(message);
      if (packet.type === PACKET.request) await sendContent(stream, root, packet.id, files);
      else if (packet.type === PACKET.fin) {
        await stream.send(packetBytes(PACKET.fin));
        stream.end();
      } else if (packet.type === PACKET.error)
        throw new ConnectError(Buffer.from(packet.data).toString(), Code.Unknown);
    }
  await telling;
}

async function tell(stream: InnerStream, root: string, files: FileStat[]): Promise<void> {
  let together: Uint8Array[] = [];
  for (const stat of walk(root)) {
    files.push(stat);
    together.push(statPacket(stat));
    if (together.length < TOLD_TOGETHER) continue;
    await stream.send(...together);
    together = [];
  }
  await stream.send(...together, statPacket(undefined));
}

async function sendContent(
  stream: InnerStream,
  root: string,
  id: number,
  files: readonly FileStat[],
): Promise<void> {
  const stat = files[id];
  if (!stat) throw new ConnectError('the client asks for a file that is not there', Code.Unknown);
  const fd = openSync(join(root, stat.path), 'r');
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafe(CHUNK);
      const data = buffer.subarray(0, readSync(fd, buffer));
      await stream.send(packetBytes(PACKET.data, id, data));
      if (data.byteLength === 0) return;
    }
  } finally {
    closeSync(fd);
  }
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
      linkname: stat.isSymbolicLink() ? readlinkSync(place) : (earlier ?? ''),
      xattrs: new Map(),
    };
    if (stat.isDirectory()) below(path);
  }
}
