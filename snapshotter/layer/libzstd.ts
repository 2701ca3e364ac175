import { inFlight } from '../sys/gate.ts';
import { openLibrary } from '../sys/native.ts';

/** One compressor of zstd. Two calls must not use it at once. Disposing it frees its memory. */
export interface ZstdCompressor extends Disposable {
  /**
   * Compresses `input` to a whole frame in `output`, on a thread of the libuv pool. Returns its
   * length. `output` has at least `zstdBound` bytes.
   */
  frame(input: Uint8Array, output: Uint8Array): Promise<number>;
}

/** ZSTD_COMPRESSBOUND of zstd.h, for inputs of at least 128 KiB. */
export function zstdBound(size: number): number {
  return size + (size >> 8) + 128;
}

interface Zstd {
  readonly create: () => unknown;
  readonly free: (context: unknown) => void;
  readonly compress: (
    context: unknown,
    output: Uint8Array,
    input: Uint8Array,
    level: number,
  ) => Promise<number>;
}

let bound: Zstd | null | undefined;

/**
 * Makes compressors of `level` from the zstd in Node itself, which exports its functions. Compared
 * with node:zlib, a context is used again and no buffer is made for each frame; the bytes are the
 * same. Undefined where Node was built without it.
 */
export function openZstd(level: number): (() => ZstdCompressor) | undefined {
  bound ??= bind();
  if (bound === null) return undefined;
  const { create, free, compress } = bound;
  return () => {
    const context = create();
    let [isBusy, isOver] = [false, false];
    const freeOnceIdle = () => void (isOver && !isBusy && free(context));
    return {
      async frame(input, output) {
        isBusy = true;
        try {
          return await compress(context, output, input, level);
        } finally {
          isBusy = false;
          freeOnceIdle();
        }
      },
      [Symbol.dispose]() {
        isOver = true;
        freeOnceIdle();
      },
    };
  };
}

interface Func {
  (...args: unknown[]): unknown;
  async(...args: unknown[]): void;
}

function bind(): Zstd | null {
  try {
    const self = openLibrary(null) as { func(prototype: string): Func } | undefined;
    if (!self) return null;
    const create = self.func('void *ZSTD_createCCtx()');
    const free = self.func('size_t ZSTD_freeCCtx(void *)');
    const isError = self.func('uint32_t ZSTD_isError(size_t)');
    const compress = self.func(
      'size_t ZSTD_compressCCtx(void *, void *, size_t, const void *, size_t, int)',
    );
    return {
      create: () => create(),
      free: (context) => void free(context),
      async compress(context, output, input, level) {
        const [room, size] = [output.byteLength, input.byteLength];
        const length = await inFlight<number | bigint>((done) =>
          compress.async(context, output, room, input, size, level, done),
        );
        if (isError(length) !== 0) throw new Error('ZSTD_compressCCtx failed');
        return Number(length);
      },
    };
  } catch {
    return null;
  }
}
