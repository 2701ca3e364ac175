import type { SelectedContents } from '../../../cache/contenthash/hasher.ts';
import { HAS_XATTRS, makeContents } from '../../../cache/contenthash/statcache.ts';
import type { Tree } from '../../../cache/contenthash.ts';
import { select } from '../../../cache/select/select.ts';
import type { FileActionCopy } from '../../llb/file-op.ts';
import { selectionOf } from './perform.ts';

/**
 * The selection of a copy in a snapshot. Nothing is hashed, because a snapshot cannot change.
 * Xattrs are found when the file is copied.
 */
export function unhashed(tree: Tree, copy: FileActionCopy): SelectedContents {
  const sources = select(tree, selectionOf(copy));
  const contents = makeContents((sources.at(-1)?.entries.at(-1)?.index ?? -1) + 1);
  contents.flags.fill(HAS_XATTRS);
  return { sources, contents };
}
