import { Readable } from 'node:stream';
import { KilnError } from '../../base/errors.ts';
import { TarReader } from '../../snapshotter/layer/untar.ts';
import { openRoot } from '../../snapshotter/sys/rooted.ts';
import { decompress, packingOf } from '../../solver/ops/file/decompress.ts';
import { ArchiveWriter } from '../../solver/ops/file/untar.ts';

/** Unpacks a tar archive, packed or not, into the empty directory `into`. Nothing in it leads outside. */
export async function unpackArchive(archive: Buffer, into: string, signal: AbortSignal): Promise<void> {
  using root = openRoot(into);
  using writer = new ArchiveWriter(root, undefined);
  const reader = new TarReader(writer);
  for await (const bytes of decompress(Readable.from([archive]), packingOf(archive.subarray(0, 16)), signal)) reader.push(bytes);
  reader.finish();
  writer.finish();
  if (writer.count === 0)
    throw new KilnError('KILN_CONTEXT_INVALID', 'standard input is no tar archive', {
      hint: 'pipe a Dockerfile or a tar archive',
    });
}
