import { promisify } from 'node:util';
import { constants, crc32, deflateRaw, zstdCompress } from 'node:zlib';
import type { WantedForm } from '../packer.ts';
import { GzipEffort } from './gzip-effort.ts';
import { type Deflater, libdeflatePath, openDeflater } from './libdeflate.ts';
import { openZstd, type ZstdCompressor, zstdBound } from './libzstd.ts';

/**
 * Compresses a stream piece by piece. Pieces are encoded on the threads of the libuv pool, several
 * at once, and written in order. The same pieces always give the same bytes. To be disposed when
 * nothing is encoded any more.
 */
export interface Encoder extends Disposable {
  /** The size of a piece in bytes. */
  readonly piece: number;
  /** Encodes piece number `index`. The result is valid until the piece `index + slots` is begun. */
  encode(piece: Buffer, index: number): Promise<Uint8Array>;
  /** True when the encoded bytes are the pieces themselves. */
  readonly isPlain?: boolean;
  /** The bytes that end the stream. */
  finish(): Uint8Array;
  /** The number of pieces that may be encoded at once. */
  readonly slots: number;
}

const MIB = 1 << 20;
/** For two cores: more than run at once, so that none waits for the writer. */
const SLOTS = 4;
/**
 * The level for zlib: 0.4 to 1.4 % larger than level 6, in 0.7 of its time on sources (2-core VM,
 * November 2026).
 */
const GZIP_LEVEL = 5;
/**
 * The level for zstd: 2 to 15 % smaller than `gzip -6`, in two thirds of the time of level 3, which
 * is 5 to 7 % smaller still.
 */
const ZSTD_LEVEL = 2;
/** The size of a gzip member of libdeflate, and of a frame of zstd, in bytes. */
const GZIP_MEMBER = 2 * MIB;
const ZSTD_FRAME = 2 * MIB;
const NOTHING = new Uint8Array();

/**
 * Names the compressor, its version and level: everything besides the tar that determines the bytes
 * of a blob.
 */
export function variantOf(wanted: WantedForm): string {
  switch (wanted.compression) {
    case 'uncompressed':
      return 'tar';
    case 'zstd':
      return `zstd-frames-${process.versions['zstd'] ?? 'none'}-${wanted.level ?? ZSTD_LEVEL}`;
    case 'gzip':
      return usesLibdeflate(wanted)
        ? `libdeflate-${wanted.level ?? 'effort'}-2m`
        : `zlib-${process.versions.zlib}-${wanted.level ?? GZIP_LEVEL}`;
  }
}

/** Reproducible bytes come from the zlib in Node, whatever is installed on the machine. */
function usesLibdeflate(wanted: WantedForm): boolean {
  return (
    wanted.compression === 'gzip' &&
    !wanted.reproducible &&
    wanted.level !== 0 &&
    libdeflatePath() !== undefined
  );
}

export function createEncoder(wanted: WantedForm): Encoder {
  switch (wanted.compression) {
    case 'uncompressed':
      return {
        piece: MIB,
        slots: 1,
        isPlain: true,
        encode: async (piece) => piece,
        finish: () => NOTHING,
        [Symbol.dispose]: () => {},
      };
    case 'zstd':
      return zstdEncoder(wanted.level ?? ZSTD_LEVEL);
    case 'gzip': {
      const path = usesLibdeflate(wanted) ? libdeflatePath() : undefined;
      return path === undefined
        ? zlibEncoder(wanted.level ?? GZIP_LEVEL)
        : libdeflateEncoder(path, wanted.level);
    }
  }
}

/**
 * Each piece is a gzip member of its own (RFC 1952, section 2.2: members simply follow one
 * another), of 2 MiB: those of 1 MiB are 0.2 % larger. Without a level, each piece gets its own.
 */
function libdeflateEncoder(path: string, level: number | undefined): Encoder {
  const opened = new Map<number, () => Deflater>();
  const openLevel = (wanted: number) => {
    const open = opened.get(wanted) ?? openDeflater(path, wanted);
    opened.set(wanted, open);
    return open();
  };
  // Most layers are one piece. A compressor is kept for each level that its slot has needed.
  const slots = Array.from({ length: SLOTS }, () => new Map<number, Deflater>());
  const outputs: Buffer[] = [];
  const samplers = new Map<number, Deflater>();
  let sampled: Buffer | undefined;
  const effort =
    level === undefined
      ? new GzipEffort((sample, tried) => {
          const deflater = madeOnce(samplers, tried, openLevel);
          sampled ??= Buffer.allocUnsafeSlow(deflater.bound(sample.byteLength));
          return deflater.memberNow(sample, sampled);
        })
      : undefined;
  return {
    piece: GZIP_MEMBER,
    slots: SLOTS,
    async encode(piece, index) {
      const slot = index % SLOTS;
      const chosen = effort?.levelOf(piece, index) ?? level!;
      const deflater = madeOnce(slots[slot]!, chosen, openLevel);
      const output = (outputs[slot] ??= Buffer.allocUnsafeSlow(deflater.bound(GZIP_MEMBER)));
      return output.subarray(0, await deflater.member(piece, output));
    },
    finish: () => NOTHING,
    [Symbol.dispose]() {
      for (const made of [...slots, samplers])
        for (const deflater of made.values()) deflater[Symbol.dispose]();
    },
  };
}

function madeOnce<T>(made: Map<number, T>, key: number, make: (key: number) => T): T {
  const value = made.get(key) ?? make(key);
  made.set(key, value);
  return value;
}

const WINDOW = 32768;
/**
 * Room for the largest result of a piece, so that a piece is one task of the pool instead of one
 * for every 16 KB.
 */
const OUTPUT_SIZE = MIB + (MIB >> 8);
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
/** The last, empty deflate block (RFC 1951, section 3.2.6). */
const LAST_BLOCK = Buffer.from([3, 0]);

const deflate = (bytes: Uint8Array, options: object) =>
  promisify<Uint8Array, object, Buffer>(deflateRaw)(bytes, options);
const zstd = (bytes: Uint8Array, options: object) =>
  promisify<Uint8Array, object, Buffer>(zstdCompress)(bytes, options);

/**
 * One gzip member: every piece is deflated with the preceding 32 KB as dictionary, and ends at a
 * byte boundary.
 */
function zlibEncoder(level: number): Encoder {
  let window: Buffer | undefined;
  let sum = 0;
  let size = 0;
  return {
    piece: MIB,
    slots: SLOTS,
    encode(piece, index) {
      const options = {
        level,
        finishFlush: constants.Z_SYNC_FLUSH,
        chunkSize: OUTPUT_SIZE,
        ...(window && { dictionary: window }),
      };
      window = Buffer.from(piece.subarray(-WINDOW));
      sum = crc32(piece, sum);
      size += piece.byteLength;
      const packed = deflate(piece, options);
      return index === 0 ? packed.then((body) => Buffer.concat([GZIP_HEADER, body])) : packed;
    },
    finish() {
      const trailer = Buffer.alloc(8);
      trailer.writeUInt32LE(sum, 0);
      trailer.writeUInt32LE(size % 2 ** 32, 4);
      return Buffer.concat([LAST_BLOCK, trailer]);
    },
    [Symbol.dispose]: () => {},
  };
}

/**
 * One frame after another (RFC 8878, section 3). A frame states its size, and has the same bytes by
 * Node's own functions and by node:zlib.
 */
function zstdEncoder(level: number): Encoder {
  const open = openZstd(level);
  const slots: { readonly compressor: ZstdCompressor; readonly output: Buffer }[] = [];
  const openSlot = (make: () => ZstdCompressor) => ({
    compressor: make(),
    output: Buffer.allocUnsafeSlow(zstdBound(ZSTD_FRAME)),
  });
  // With less room for the result, node:zlib would make other frames.
  const chunkSize = zstdBound(ZSTD_FRAME);
  const options = { params: { [constants.ZSTD_c_compressionLevel]: level }, chunkSize };
  return {
    piece: ZSTD_FRAME,
    slots: SLOTS,
    async encode(piece, index) {
      if (!open) return await zstd(piece, options);
      const { compressor, output } = (slots[index % SLOTS] ??= openSlot(open));
      return output.subarray(0, await compressor.frame(piece, output));
    },
    finish: () => NOTHING,
    [Symbol.dispose]() {
      for (const { compressor } of slots) compressor[Symbol.dispose]();
    },
  };
}
