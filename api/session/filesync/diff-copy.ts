import { Code, ConnectError } from '@connectrpc/connect';
import { compareUtf8 } from '../../../solver/llb/wire.ts';
import type { WantedFiles } from '../../../solver/step-session.ts';
import type { InnerStream } from '../../grpc/inner-client.ts';
import type { ClientSession } from '../client-session.ts';
import { isDirectoryStat } from './go-mode.ts';
import { type FileStat, PACKET, type Packet, packetBytes, readPacket } from './packet.ts';

/** The method by which a client sends its directories. */
export const FILE_SYNC = '/moby.filesync.v1.FileSync/DiffCopy';

/** The headers in which a call names what is wanted. */
const WANTED = {
  directory: 'dir-name',
  include: 'include-patterns',
  exclude: 'exclude-patterns',
  follow: 'followpaths',
} as const;
const ENCODED = '-encoded';

/** More files than this are not a build context. */
const MAX_FILES = 5_000_000;
/** The client sends four files at a time. */
const MAX_OPEN = 64;

/**
 * What becomes of the files that a client tells. Calls come in the order of the files. An id is the
 * number of a file in that order.
 */
export interface FileReceiver {
  /**
   * True when the packet is the one that told a file the last time, it came after the same packet
   * then, and the content is not wanted. Its stat is not read, and `file` is not called.
   */
  recognize?(packet: Uint8Array): boolean;
  /** Told of a file by `packet`. Answers whether its content is wanted. */
  file(stat: FileStat, packet: Uint8Array): 'wanted' | 'known';
  /** Told when all files are told. Answers which of those that are known are wanted after all. */
  told(): Iterable<readonly [id: number, stat: FileStat]>;
  /** A piece of the content of a file that is wanted. */
  data(stat: FileStat, bytes: Uint8Array): void;
  /** The content of a file is whole. */
  end(stat: FileStat): void;
}

/**
 * Has a client send a directory, by the protocol of packet.ts. What a client tells is hostile:
 * paths are relative and in order, each in a directory that was told before, and content comes only
 * of files that were asked for. Throws a ConnectError that says what is wrong.
 */
export async function receiveDirectory(
  session: ClientSession,
  name: string,
  wanted: WantedFiles,
  receiver: FileReceiver,
  signal: AbortSignal,
): Promise<void> {
  if (!session.supports(FILE_SYNC))
    throw new ConnectError('the client lends no directories', Code.Unimplemented);
  const done = new AbortController();
  const stream = session.client.stream(
    FILE_SYNC,
    metadataFor(name, wanted),
    AbortSignal.any([signal, done.signal]),
  );
  try {
    await receiveFiles(stream, receiver, 'the directory of the client cannot be read');
  } finally {
    done.abort();
  }
}

/**
 * Receives a tree by the protocol of packet.ts, from whichever end. What the sender tells is
 * hostile, see `receiveDirectory`. Errors begin with `failed`.
 */
export async function receiveFiles(
  stream: InnerStream,
  receiver: FileReceiver,
  failed: string,
): Promise<void> {
  try {
    await new Receiving(stream, receiver).run();
  } catch (error) {
    throw error instanceof WrongTalk
      ? new ConnectError(`${failed}: ${error.message}`, Code.Unknown)
      : error;
  }
}

class Receiving {
  readonly #stream: InnerStream;
  readonly #receiver: FileReceiver;
  readonly #order = new TellingOrder();
  /** How many files are told. */
  #count = 0;
  /** The last packet, when it was recognized. */
  #recognized: Uint8Array | undefined;
  readonly #asked = new Map<number, FileStat>();
  readonly #open = new Set<number>();
  #requests: Uint8Array[] = [];
  #told = false;

  constructor(stream: InnerStream, receiver: FileReceiver) {
    this.#stream = stream;
    this.#receiver = receiver;
  }

  async run(): Promise<void> {
    for await (const messages of this.#stream.receive()) {
      for (const message of messages) this.#message(message);
      const requests = this.#requests.splice(0);
      // Not awaited: the client may be waiting for us to read.
      if (requests.length > 0) void this.#stream.send(...requests);
    }
    if (!this.#told || this.#asked.size > 0) throw wrong('it ended before all files had come');
  }

  #message(message: Uint8Array): void {
    if (!this.#told && this.#receiver.recognize?.(message)) {
      this.#recognized = message;
      this.#count++;
    } else this.#packet(readPacket(message), message);
  }

  #packet(packet: Packet, message: Uint8Array): void {
    switch (packet.type) {
      case PACKET.stat:
        return packet.stat ? this.#file(packet.stat, message) : this.#allTold();
      case PACKET.data:
        return this.#data(packet);
      case PACKET.fin:
        this.#stream.end();
        return;
      case PACKET.error:
        throw wrong(Buffer.from(packet.data).toString());
      default:
        throw wrong(`it sent a packet of type ${packet.type}`);
    }
  }

  #file(stat: FileStat, message: Uint8Array): void {
    if (this.#told) throw wrong('it told a file after the last one');
    if (this.#count === MAX_FILES) throw wrong(`it has more than ${MAX_FILES} files`);
    if (this.#recognized) this.#order.follow(readPacket(this.#recognized).stat!);
    this.#recognized = undefined;
    this.#order.check(stat);
    const id = this.#count++;
    if (this.#receiver.file(stat, message) === 'wanted') this.#ask(id, stat);
  }

  #ask(id: number, stat: FileStat): void {
    this.#asked.set(id, stat);
    this.#requests.push(packetBytes(PACKET.request, id));
  }

  #allTold(): void {
    if (this.#told) return;
    this.#told = true;
    for (const [id, stat] of this.#receiver.told()) if (!this.#asked.has(id)) this.#ask(id, stat);
    this.#endIfDone();
  }

  #data({ id, data }: Packet): void {
    const stat = this.#asked.get(id);
    if (!stat) throw wrong('it sent content that was not asked for');
    if (data.byteLength > 0) {
      this.#open.add(id);
      if (this.#open.size > MAX_OPEN) throw wrong('it sends too many files at once');
      this.#receiver.data(stat, data);
      return;
    }
    this.#open.delete(id);
    this.#asked.delete(id);
    this.#receiver.end(stat);
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#told && this.#asked.size === 0) this.#requests.push(packetBytes(PACKET.fin));
  }
}

/** Holds a client to the order of paths, and every file to a directory that was told before. */
class TellingOrder {
  #last: readonly string[] = [];
  /** How many names of the last path, from the first on, are directories. */
  #directories = 0;

  check(stat: FileStat): void {
    const names = stat.path.split('/');
    if (names.some((name) => name === '' || name === '.' || name === '..' || name.includes('\0')))
      throw wrong(`${JSON.stringify(stat.path)} is not a path in it`);
    const parents = names.length - 1;
    let same = 0;
    while (same < parents && names[same] === this.#last[same]) same++;
    if (same < parents || this.#directories < parents)
      throw wrong(`it tells ${JSON.stringify(stat.path)} without its directory`);
    const before = this.#last[parents];
    if (before !== undefined && compareUtf8(names[parents]!, before) <= 0)
      throw wrong(`it tells ${JSON.stringify(stat.path)} out of order`);
    this.#continueAfter(stat, names);
  }

  /** Goes on after a file that is known to be in order. */
  follow(stat: FileStat): void {
    this.#continueAfter(stat, stat.path.split('/'));
  }

  #continueAfter(stat: FileStat, names: readonly string[]): void {
    this.#last = names;
    this.#directories = isDirectoryStat(stat) ? names.length : names.length - 1;
  }
}

/** The sender does not keep to the protocol, or says itself what went wrong. */
class WrongTalk extends Error {}

function wrong(why: string): WrongTalk {
  return new WrongTalk(why);
}

function metadataFor(
  name: string,
  { include, exclude, follow }: WantedFiles,
): Record<string, string | readonly string[]> {
  return Object.fromEntries(
    [
      [WANTED.directory, [name]] as const,
      [WANTED.include, include] as const,
      [WANTED.exclude, exclude] as const,
      [WANTED.follow, follow] as const,
    ].flatMap(([key, values]): [string, string | readonly string[]][] => {
      if (values.length === 0) return [];
      if (values.every(isPlain)) return [[key, values]];
      return [
        [key, values.map(encoded)],
        [`${key}${ENCODED}`, '1'],
      ];
    }),
  );
}

/** What a header may hold as it is. The client decodes only when one of them is not ASCII. */
function isPlain(text: string): boolean {
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) || text === '';
}

/** As Go's url.QueryUnescape reads it. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(/%20/g, '+');
}

/**
 * Reads what a call wants of which directory, as `metadataFor` writes it. `values` are those of a
 * header. Throws a ConnectError for a text that cannot be decoded.
 */
export function wantedIn(
  values: (header: string) => readonly string[],
): { readonly name: string } & Pick<WantedFiles, 'include' | 'exclude' | 'follow'> {
  const read = (header: string): readonly string[] => {
    const texts = values(header);
    return values(`${header}${ENCODED}`)[0] === '1' ? texts.map(decoded) : texts;
  };
  return {
    name: read(WANTED.directory)[0] ?? '',
    include: read(WANTED.include),
    exclude: read(WANTED.exclude),
    follow: read(WANTED.follow),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new ConnectError(`${JSON.stringify(text)} is not encoded`, Code.InvalidArgument);
  }
}
