import { cleanPath } from '../../../base/gopath.ts';
import { missingSource } from '../../../cache/select/missing.ts';
import { resolveVisible } from '../../../cache/select/resolve-visible.ts';
import { viewTree } from '../../../cache/select/tree-view.ts';
import type { BuildResult, DirectoryResult } from '../../result.ts';
import type { StepSession } from '../../step-session.ts';
import type { World } from '../../world.ts';
import { openTreeOf, treeOf } from '../file/tree.ts';
import { copyWhole } from '../file/whole.ts';

/** The host and the build for which something is copied. */
interface CopyContext {
  readonly world: Pick<World, 'snapshotter' | 'hasher' | 'copyPool'>;
  readonly session: StepSession;
  readonly signal: AbortSignal;
}

/**
 * Copies the file or directory at `path` of a tree to the same path below `to`. Owners, modes and
 * times are kept.
 */
export async function copySubtree(
  input: BuildResult,
  path: string,
  to: string,
  { world, session, signal }: CopyContext,
): Promise<void> {
  await using scope = new AsyncDisposableStack();
  const tree = await openTreeOf(input, world.snapshotter, scope);
  await copyWhole(
    { tree, path, to, hasher: world.hasher(session), pool: world.copyPool, mountedOnly: true },
    signal,
  );
}

/**
 * The real path of a mount's source in a local directory, with symlinks resolved as the step would
 * see them. Only that path is copied, so a link alone would lead nowhere. The content key (key.ts)
 * resolves it in the same way. Throws KILN_COPY_SOURCE_MISSING.
 */
export function realSource(input: DirectoryResult, path: string): string {
  const tree = treeOf(input);
  using view = viewTree(tree);
  const real = resolveVisible(view, cleanPath(`/${path}`), true);
  if (real === undefined) throw missingSource(tree, path);
  return `/${real}`;
}
