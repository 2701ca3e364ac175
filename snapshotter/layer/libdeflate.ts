import { existsSync } from 'node:fs';
import { inFlight } from '../sys/gate.ts';
import { loadKoffi } from '../sys/koffi.ts';

/** Where distributions install it. Checking paths avoids loading the library. */
const PLACES = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
  .flatMap((triple) => [`/usr/lib/${triple}`, `/lib/${triple}`])
  .concat('/usr/lib64', '/usr/lib', '/usr/local/lib');
const SONAME = 'libdeflate.so.0';

let found: string | null | undefined;

/** The library's path, or undefined when it is not installed. */
export function libdeflatePath(): string | undefined {
  found ??= PLACES.map((place) => `${place}/${SONAME}`).find((path) => existsSync(path)) ?? null;
  return found ?? undefined;
}

/** One compressor. Two calls must not use it at once. Disposing it frees its memory. */
export interface Deflater extends Disposable {
  /**
   * Compresses `input` to a whole gzip member in `output`, on a thread of the libuv pool. Returns
   * its length.
   */
  member(input: Uint8Array, output: Uint8Array): Promise<number>;
  /** The same on this thread, for a few kilobytes. Not while a call of `member` runs. */
  memberNow(input: Uint8Array, output: Uint8Array): number;
  /** The bytes that `output` must have for `size` bytes of input. */
  bound(size: number): number;
}

/** Those of the one library of this machine: making them again for each layer would keep memory. */
let functions: ReturnType<typeof functionsOf> | undefined;

function functionsOf(path: string) {
  const library = loadKoffi<Func>().load(path);
  return {
    alloc: library.func('void *libdeflate_alloc_compressor(int)'),
    free: library.func('void libdeflate_free_compressor(void *)'),
    compress: library.func(
      'size_t libdeflate_gzip_compress(void *, const void *, size_t, void *, size_t)',
    ),
    bound: library.func('size_t libdeflate_gzip_compress_bound(void *, size_t)'),
  };
}

interface Func {
  (...args: unknown[]): unknown;
  async(...args: unknown[]): void;
}

/** Makes compressors of `level` 1..12. */
export function openDeflater(path: string, level: number): () => Deflater {
  const { alloc, free, compress, bound } = (functions ??= functionsOf(path));
  return () => {
    // At most 1 MB, which a long-lived process has to give back for every layer.
    const compressor = alloc(level);
    let [isBusy, isOver] = [false, false];
    const freeOnceIdle = () => void (isOver && !isBusy && free(compressor));
    return {
      bound: (size) => Number(bound(compressor, size)),
      member: async (input, output) => {
        const { byteLength: size } = input;
        isBusy = true;
        const length = await inFlight<number | bigint>((done) =>
          compress.async(compressor, input, size, output, output.byteLength, done),
        ).finally(() => {
          isBusy = false;
          freeOnceIdle();
        });
        return written(length);
      },
      memberNow: (input, output) =>
        written(compress(compressor, input, input.byteLength, output, output.byteLength)),
      [Symbol.dispose]() {
        isOver = true;
        freeOnceIdle();
      },
    };
  };
}

function written(length: unknown): number {
  if (Number(length) === 0) throw new Error('libdeflate found its output buffer too small');
  return Number(length);
}
