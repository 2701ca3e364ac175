import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { errnoOf, KilnError, messageOf } from '../../../base/errors.ts';
import type { Expansion } from '../../../snapshotter/layer/expansion.ts';
import { unzstd } from '../../../snapshotter/layer/zstd-frames.ts';

/** How an archive is compressed. */
export type Packing = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

const MAGICS: readonly (readonly [Packing, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** The compression by the first bytes, as Docker recognises it. The name of the file is ignored. */
export function packingOf(start: Uint8Array): Packing {
  return MAGICS.find(([, magic]) => magic.every((byte, at) => start[at] === byte))?.[0] ?? 'none';
}

/**
 * The header of an xz stream determines how much memory unpacking takes. No level of the tool needs
 * more than 65 MiB; a crafted header may ask for any amount, so it is limited.
 */
const TOOLS = {
  bzip2: { command: 'bzip2', args: ['-dc'], packageName: 'bzip2' },
  xz: { command: 'xz', args: ['-dc', '--memlimit-decompress=512MiB'], packageName: 'xz-utils' },
} as const;

/**
 * The decompressed bytes of `packed`. `expansion` limits how far they may grow. bzip2 and xz run
 * the program of that name, since Node has neither. The iteration rejects with
 * KILN_ARCHIVE_DAMAGED, KILN_LAYER_LIMIT or KILN_TOOL_MISSING.
 */
export async function* decompress(
  packed: AsyncIterable<Buffer>,
  packing: Packing,
  expansion: Expansion,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  try {
    yield* expansion.of(packed, (counted) => decoded(counted, packing, signal));
  } catch (error) {
    const isDamage = /^(?:Z_|ZSTD_|ERR_|KILN_LAYER_MALFORMED)/.test(errnoOf(error) ?? '');
    throw isDamage
      ? new KilnError('KILN_ARCHIVE_DAMAGED', `cannot unpack the archive: ${messageOf(error)}`, {
          cause: error,
        })
      : error;
  }
}

const PIECE = 1 << 20;

function decoded(
  packed: AsyncIterable<Buffer>,
  packing: Packing,
  signal: AbortSignal,
): AsyncIterable<Buffer> {
  if (packing === 'none') return packed;
  if (packing === 'zstd') return unzstd(packed, PIECE);
  const source = Readable.from(packed);
  if (packing !== 'gzip') return throughTool(source, packing, signal);
  const stream = createGunzip({ chunkSize: PIECE });
  source.on('error', (error) => stream.destroy(error));
  return source.pipe(stream) as AsyncIterable<Buffer>;
}

async function* throughTool(
  packed: Readable,
  packing: 'bzip2' | 'xz',
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { command, args } = TOOLS[packing];
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  const failed = new Promise<never>((_, reject) =>
    child.once('error', (error) => reject(toolError(packing, error))),
  );
  failed.catch(() => {});
  const closed = once(child, 'close').catch(() => {});
  let errorText = '';
  child.stderr.on(
    'data',
    (text: Buffer) => (errorText = (errorText + text.toString()).slice(0, 500)),
  );
  child.stdin.on('error', () => {});
  packed.on('error', () => child.kill('SIGKILL'));
  packed.pipe(child.stdin);
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    await Promise.race([closed, failed]);
    if (child.exitCode !== 0)
      throw new KilnError(
        'KILN_ARCHIVE_DAMAGED',
        `cannot unpack the archive: ${errorText.trim() || `${command} failed`}`,
      );
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL');
    await closed;
  }
}

function toolError(packing: 'bzip2' | 'xz', error: Error): Error {
  if (errnoOf(error) !== 'ENOENT') return error;
  const { command, packageName } = TOOLS[packing];
  return new KilnError(
    'KILN_TOOL_MISSING',
    `the archive is compressed with ${packing}, and the program ${command} is not installed`,
    {
      hint: `apt-get install ${packageName}`,
    },
  );
}
