import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { errnoOf, KilnError } from '../../../base/errors.ts';

export type Packing = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

const MAGICS: readonly (readonly [Packing, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** By the first bytes, as Docker does; the file's name says nothing. */
export function packingOf(start: Uint8Array): Packing {
  return MAGICS.find(([, magic]) => magic.every((byte, at) => start[at] === byte))?.[0] ?? 'none';
}

const TOOLS = { bzip2: { command: 'bzip2', packageName: 'bzip2' }, xz: { command: 'xz', packageName: 'xz-utils' } } as const;

/** The unpacked bytes of `packed`. bzip2 and xz run the tool of that name: Node has neither. Errors come out of the iteration. */
export async function* decompress(packed: Readable, packing: Packing, signal: AbortSignal): AsyncGenerator<Buffer> {
  if (packing === 'none') yield* packed as AsyncIterable<Buffer>;
  else if (packing === 'gzip' || packing === 'zstd') {
    const stream = packing === 'gzip' ? createGunzip({ chunkSize: 1 << 20 }) : createZstdDecompress({ chunkSize: 1 << 20 });
    packed.on('error', (error) => stream.destroy(error));
    yield* packed.pipe(stream) as AsyncIterable<Buffer>;
  } else yield* throughTool(packed, packing, signal);
}

async function* throughTool(packed: Readable, packing: 'bzip2' | 'xz', signal: AbortSignal): AsyncGenerator<Buffer> {
  const { command } = TOOLS[packing];
  const child = spawn(command, ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' });
  const failed = new Promise<never>((_, reject) => child.once('error', (error) => reject(toolError(packing, error))));
  failed.catch(() => {});
  const closed = once(child, 'close').catch(() => {});
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => (complaint = (complaint + text.toString()).slice(0, 500)));
  child.stdin.on('error', () => {});
  packed.on('error', () => child.kill('SIGKILL'));
  packed.pipe(child.stdin);
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    await Promise.race([closed, failed]);
    if (child.exitCode !== 0)
      throw new KilnError('KILN_ARCHIVE_DAMAGED', `cannot unpack the archive: ${complaint.trim() || `${command} failed`}`);
  } finally {
    if (child.exitCode === null) child.kill('SIGKILL');
    await closed;
  }
}

function toolError(packing: 'bzip2' | 'xz', error: Error): Error {
  if (errnoOf(error) !== 'ENOENT') return error;
  const { command, packageName } = TOOLS[packing];
  return new KilnError('KILN_TOOL_MISSING', `the archive is packed with ${packing}, and there is no ${command} to unpack it`, {
    hint: `apt-get install ${packageName}`,
  });
}
