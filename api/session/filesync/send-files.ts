import { closeSync, readSync } from 'node:fs';
import { Code, ConnectError } from '@connectrpc/connect';
import { messageOf } from '../../../base/errors.ts';
import type { GrpcStream } from '../../grpc/grpc-frames.ts';
import { typeOf } from './go-mode.ts';
import { type FileStat, PACKET, packetBytes, readPacket, statPacket } from './packet.ts';

/** A packet carries so many bytes of a file. Packets of small files are sent together. */
const CHUNK = 256 << 10;
/** So many files are told at once. */
const TOLD_TOGETHER = 200;

/** The files that are sent, in the order of the protocol. */
export interface SentTree {
  readonly files: Iterable<FileStat>;
  /** Opens one of the regular files for reading. The descriptor is closed by the caller. */
  readonly open: (path: string) => number;
}

/**
 * Sends a tree by the protocol of packet.ts, from whichever end. Settles when the other side has it
 * whole. Throws a ConnectError for an error of the other side.
 */
export async function sendFiles(stream: GrpcStream, tree: SentTree): Promise<void> {
  const told: FileStat[] = [];
  const telling = tell(stream, tree.files, told);
  // The other side is told, ends the stream, and the error is thrown below.
  telling.catch((error) =>
    stream.send(packetBytes(PACKET.error, 0, Buffer.from(messageOf(error)))),
  );
  const contents = new Contents(stream, tree);
  for await (const messages of stream.receive()) {
    for (const message of messages) {
      const packet = readPacket(message);
      if (packet.type === PACKET.request) await contents.add(packet.id, told[packet.id]);
      else if (packet.type === PACKET.fin) {
        await contents.flush(packetBytes(PACKET.fin));
        stream.end();
      } else if (packet.type === PACKET.error)
        throw new ConnectError(Buffer.from(packet.data).toString(), Code.Unknown);
    }
    await contents.flush();
  }
  await telling;
}

async function tell(
  stream: GrpcStream,
  files: Iterable<FileStat>,
  told: FileStat[],
): Promise<void> {
  let together: Uint8Array[] = [];
  for (const stat of files) {
    told.push(stat);
    together.push(statPacket(stat));
    if (together.length < TOLD_TOGETHER) continue;
    await stream.send(...together);
    together = [];
  }
  await stream.send(...together, statPacket(undefined));
}

/** Sends the contents of files, of many small ones at once. */
class Contents {
  readonly #stream: GrpcStream;
  readonly #tree: SentTree;
  #waiting: Uint8Array[] = [];
  #bytes = 0;

  constructor(stream: GrpcStream, tree: SentTree) {
    this.#stream = stream;
    this.#tree = tree;
  }

  /** Only regular files have content: what a link leads to is not told, and a pipe never ends. */
  async add(id: number, stat: FileStat | undefined): Promise<void> {
    if (!stat || typeOf(stat.mode) !== 0)
      throw new ConnectError('a file is asked for that is not there', Code.Unknown);
    const fd = this.#tree.open(stat.path);
    try {
      // A file may have become longer since it was told. It is sent as it is now.
      for (let left = stat.size; ; ) {
        const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(1, left + 1)));
        const data = buffer.subarray(0, readSync(fd, buffer));
        this.#waiting.push(packetBytes(PACKET.data, id, data));
        if (data.byteLength === 0) return;
        left -= data.byteLength;
        this.#bytes += data.byteLength;
        if (this.#bytes >= CHUNK) await this.flush();
      }
    } finally {
      closeSync(fd);
    }
  }

  async flush(...more: readonly Uint8Array[]): Promise<void> {
    const packets = [...this.#waiting.splice(0), ...more];
    this.#bytes = 0;
    if (packets.length > 0) await this.#stream.send(...packets);
  }
}
