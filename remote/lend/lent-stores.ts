import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  type AnsweredCall,
  type InnerMethods,
  pathOf,
  unaryAnswer,
} from '../../api/grpc/inner-server.ts';
import {
  Content,
  ReadContentRequestSchema,
  ReadContentResponseSchema,
  WriteAction,
  type WriteContentRequest,
  WriteContentRequestSchema,
  WriteContentResponseSchema,
} from '../../api/proto/content.gen.ts';
import { STORE_ID } from '../../api/session/content/client-store.ts';
import { type Digest, hexOf, isDigest } from '../../base/digest.ts';
import { isBlobThere } from '../../exporter/blob-there.ts';
import { openRegular } from '../../snapshotter/sys/regular.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';

/** An OCI layout in a directory of the caller. */
export interface LentStore {
  /** The absolute path. */
  readonly root: string;
  /** Whether the server may add blobs. */
  readonly isWritable: boolean;
  /** Says that a blob is not wanted, because this side has what is in it. */
  readonly isHere?: (digest: Digest) => boolean;
  /** Makes a blob that the layout has not yet. It comes to its place in the layout. */
  readonly make?: (digest: Digest) => Promise<void>;
}

/** A message carries so many bytes. */
const CHUNK = 1 << 20;

/**
 * Answers for the blobs of layouts and caches in directories of the caller, by the names of their
 * stores. A blob is found by its digest alone, and one that is written has the bytes of its digest.
 */
export function lentStores(stores: ReadonlyMap<string, LentStore>): InnerMethods {
  const storeOf = ({ metadata }: AnsweredCall): LentStore => {
    const id = metadata(STORE_ID)[0] ?? '';
    const store = stores.get(id);
    if (store) return store;
    throw new ConnectError(`no store ${JSON.stringify(id)} is lent`, Code.NotFound);
  };
  const infoOf = async (digest: string, call: AnsweredCall) => {
    using blob = await openBlob(storeOf(call), digest);
    return { info: { digest, size: BigInt(blob.size) } };
  };
  return new Map([
    unaryAnswer(Content.method.info, async ({ digest }, call) => infoOf(digest, call)),
    // Labels are for collectors of garbage, of which a layout has none.
    unaryAnswer(Content.method.update, async ({ info }, call) => infoOf(info?.digest ?? '', call)),
    unaryAnswer(Content.method.status, async ({ ref }) => {
      throw new ConnectError(`nothing is written as ${JSON.stringify(ref)}`, Code.NotFound);
    }),
    unaryAnswer(Content.method.abort, async () => ({})),
    [pathOf(Content.method.read), (call) => read(storeOf(call), call)],
    [pathOf(Content.method.write), (call) => write(storeOf(call), call)],
  ]);
}

interface OpenBlob extends Disposable {
  readonly fd: number;
  readonly size: number;
}

async function openBlob({ root, make }: LentStore, digest: string): Promise<OpenBlob> {
  if (!isDigest(digest)) throw new ConnectError('this is not a digest', Code.InvalidArgument);
  await make?.(digest);
  using directory = openRoot(root);
  const file = openRegular(directory, `blobs/sha256/${hexOf(digest)}`);
  if (!file) throw new ConnectError(`content ${digest}: not found`, Code.NotFound);
  return { ...file, [Symbol.dispose]: () => closeSync(file.fd) };
}

async function read(store: LentStore, { stream }: AnsweredCall): Promise<void> {
  let asked: Buffer | undefined;
  for await (const messages of stream.receive()) asked ??= messages[0];
  const { digest, offset, size } = fromBinary(ReadContentRequestSchema, asked ?? Buffer.alloc(0));
  using blob = await openBlob(store, digest);
  const end = size > 0n ? Math.min(blob.size, Number(offset + size)) : blob.size;
  for (let at = Number(offset); at < end; ) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, end - at));
    const data = buffer.subarray(0, readSync(blob.fd, buffer, 0, buffer.byteLength, at));
    if (data.byteLength === 0) throw new ConnectError('the blob became shorter', Code.DataLoss);
    const message = create(ReadContentResponseSchema, { offset: BigInt(at), data });
    await stream.send(toBinary(ReadContentResponseSchema, message));
    at += data.byteLength;
  }
}

async function write(store: LentStore, { stream }: AnsweredCall): Promise<void> {
  if (!store.isWritable)
    throw new ConnectError('this store is only lent to be read', Code.PermissionDenied);
  const answer = async (message: MessageInitShape<typeof WriteContentResponseSchema>) => {
    const made = create(WriteContentResponseSchema, message);
    await stream.send(toBinary(WriteContentResponseSchema, made));
  };
  let writing: Writing | undefined;
  try {
    for await (const messages of stream.receive())
      for (const message of messages) {
        const request = fromBinary(WriteContentRequestSchema, message);
        const { action } = request;
        writing ??= new Writing(store, request);
        if (action !== WriteAction.STAT) writing.add(request);
        const { offset, total } = writing;
        if (action !== WriteAction.COMMIT) {
          await answer({ action, offset: BigInt(offset), total: BigInt(total) });
          continue;
        }
        const digest = writing.commit();
        await answer({ action, offset: BigInt(offset), total: BigInt(offset), digest });
        stream.end();
      }
  } finally {
    writing?.abandon();
  }
}

/** A blob that is being written beside its place, where it comes when it is whole and right. */
class Writing {
  readonly #digest: Digest;
  readonly #root: string;
  readonly #part: string;
  readonly #hash = createHash('sha256');
  #fd: number | undefined;
  readonly total: number;
  offset = 0;

  constructor({ root, isHere }: LentStore, { expected, total }: WriteContentRequest) {
    if (!isDigest(expected))
      throw new ConnectError('a blob is written by its digest', Code.InvalidArgument);
    this.#digest = expected;
    this.#root = root;
    this.total = Number(total);
    const path = blobPath(root, expected);
    if (isHere?.(expected) || isBlobThere(path, { digest: expected, size: this.total }))
      throw new ConnectError(`content ${expected}: already exists`, Code.AlreadyExists);
    mkdirSync(join(root, 'blobs/sha256'), { recursive: true });
    this.#part = `${path}.${process.pid}.part`;
    rmSync(this.#part, { force: true });
    this.#fd = openSync(this.#part, 'wx', 0o644);
  }

  add({ offset, data }: WriteContentRequest): void {
    if (Number(offset) !== this.offset)
      throw new ConnectError('a blob is written from its beginning on', Code.OutOfRange);
    this.offset += data.byteLength;
    if (this.total > 0 && this.offset > this.total)
      throw new ConnectError('the blob is longer than was said', Code.OutOfRange);
    this.#hash.update(data);
    for (let rest = data; rest.byteLength > 0; ) rest = rest.subarray(writeSync(this.#fd!, rest));
  }

  commit(): Digest {
    if (this.#hash.digest('hex') !== hexOf(this.#digest))
      throw new ConnectError(`the bytes are not those of ${this.#digest}`, Code.FailedPrecondition);
    closeSync(this.#fd!);
    this.#fd = undefined;
    renameSync(this.#part, blobPath(this.#root, this.#digest));
    return this.#digest;
  }

  abandon(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    rmSync(this.#part, { force: true });
  }
}

function blobPath(root: string, digest: Digest): string {
  return join(root, 'blobs/sha256', hexOf(digest));
}
