import { join } from 'node:path';
import { type Digest, digestOfParts, hexOf } from '../../../base/digest.ts';
import type { Contents } from '../../../cache/contenthash/statcache.ts';
import type { Entry } from '../../../cache/select/entry.ts';
import type { LayerId, Snapshot, Snapshotter } from '../../../snapshotter/snapshotter.ts';
import type { FileActionCopy } from '../../llb/file-op.ts';
import type { Overrides } from './attributes.ts';
import {
  type CopiedEntries,
  type EarlierRows,
  readCopyIndex,
  writeCopyIndex,
} from './copy-index.ts';
import type { EntryStep } from './steps.ts';

/**
 * # What large copies made the last time
 *
 * When one file of 20,000 changes, the COPY runs again. The other 19,999 files are the same inodes
 * with the same times as before, and the layer of the last run holds them with the right metadata.
 * If little has changed, and nothing is gone, the new layer is a version of that one, which holds
 * only what has changed (revise.ts). Otherwise the new layer is made of hard links to the
 * unchanged files, which takes a quarter of the time of a copy, and no space. Sharing an inode is
 * safe because a committed layer is never written to.
 *
 * Each destination has one file in the store. Without it the next run copies; a damaged one is
 * ignored (copy-index.ts).
 */
export interface EarlierCopies {
  /** The last whole copy of this kind, if its layer still exists. */
  find(place: Digest): EarlierCopy | undefined;
  /** Remembers what `layer` holds. No other action may have written to the layer. */
  keep(place: Digest, layer: LayerId, parent: Snapshot, copied: CopiedEntries): void;
}

/** A copy that was made before, as a source of hard links, or as the base of a version. */
export interface EarlierCopy {
  readonly layer: LayerId;
  /** The directory of the layer. */
  readonly files: string;
  /** The layers that the copy was made on. */
  readonly parent: readonly LayerId[];
  /** Where its source went. Undefined if no version can be made of it. */
  readonly target: string | undefined;
  /**
   * True if the layer has, at the target of the step, a copy of this file as it is now. It is
   * fastest if steps are asked for in the order of the earlier copy.
   */
  has(step: EntryStep): boolean;
  /**
   * What is known of `entries`, which go to `target`. `contents` are their digests. Undefined if an
   * entry of the earlier copy is not among them.
   */
  rowsOf(target: string, entries: readonly Entry[], contents: Contents): EarlierRows | undefined;
}

/**
 * Identifies a copy by everything that decides its result, except the files themselves. `memory`
 * names the source directory.
 */
export function copyPlace(
  memory: string,
  copy: FileActionCopy,
  { owner, time }: Overrides,
): Digest {
  // The mode is part of the action. An owner by name has already been looked up in the image.
  const action = JSON.stringify([copy, owner, time], (_, value) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return digestOfParts([memory, action]);
}

/** Opens the copies remembered in `directory`, which nothing else uses. */
export function openEarlierCopies(
  directory: string,
  snapshotter: Pick<Snapshotter, 'directories'>,
): EarlierCopies {
  const fileOf = (place: Digest) => join(directory, hexOf(place));
  return {
    find(place) {
      const index = readCopyIndex(fileOf(place));
      const files = index && snapshotter.directories(index.head.layer)[0];
      if (files === undefined) return undefined;
      return {
        ...index!.head,
        target: index!.head.target,
        files,
        has: (step) => index!.has(step),
        rowsOf: (...asked) => index!.rowsOf(...asked),
      };
    },
    keep(place, layer, { layers }, copied) {
      // Written after the threads have got their next work, since nothing waits for it.
      setImmediate(() => writeCopyIndex(fileOf(place), { layer, parent: layers }, copied));
    },
  };
}
