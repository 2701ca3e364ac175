import { KilnError } from '../../base/errors.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import { packingOf } from '../../solver/ops/file/decompress.ts';
import { unpackTo } from '../../solver/ops/file/unpack.ts';
import { ArchiveWriter } from '../../solver/ops/file/untar.ts';

/**
 * Unpacks a tar archive, compressed or not, into the empty directory `into`. No path or link in the
 * archive can lead outside that directory. Throws KILN_CONTEXT_INVALID when the archive has no
 * entry, and KILN_ARCHIVE_* when it is damaged.
 */
export async function unpackArchive(
  archive: Buffer,
  into: string,
  signal: AbortSignal,
): Promise<void> {
  using root = openRoot(into);
  using writer = new ArchiveWriter(root, undefined);
  await unpackTo(
    writer,
    pieces(archive),
    packingOf(archive.subarray(0, 16)),
    'on standard input',
    signal,
  );
  if (writer.count === 0)
    throw new KilnError('KILN_CONTEXT_INVALID', 'standard input is not a tar archive', {
      hint: 'pipe a Dockerfile or a tar archive',
    });
}

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
