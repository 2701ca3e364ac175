import type { JobContext } from '../workers/job.ts';
import { MountWriter } from './mount-writer.ts';
import { PIECE, tarStream } from './tarstream.ts';
import { TarReader } from './untar.ts';

export interface ReplayInput {
  /** Directories of layers, the lowest first. */
  readonly layers: readonly string[];
  /** A writable mount of the tree below them. */
  readonly root: string;
}

/**
 * Applies layers to a tree in order: adds, replaces and removes files. A file that one layer adds
 * and a later one removes is gone. Times are whole seconds, as in an image.
 */
export async function replayLayers(
  { layers, root }: ReplayInput,
  { check }: JobContext,
): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(PIECE);
  for (const files of layers) {
    using writer = new MountWriter(root);
    const reader = new TarReader(writer);
    // A writer is done with a piece when `push` returns.
    for (const piece of tarStream(files, { check, buffer: () => buffer }, { entries: 0, size: 0 }))
      reader.push(piece);
    reader.finish();
    writer.finish();
  }
}
