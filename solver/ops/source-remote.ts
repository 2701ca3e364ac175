import type { SourceOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op } from '../solver.ts';
import type { World } from '../world.ts';

/**
 * The op of an http, https or git source; undefined for any other. The modules that it needs are
 * loaded with the first call of the op.
 */
export function remoteSourceOp(source: SourceOp, world: World): Op<BuildResult> | undefined {
  const { remotes } = world;
  if (!remotes) return undefined;
  const { snapshotter } = world;
  if (/^https?:\/\//.test(source.identifier))
    return lazyOp(async () => {
      const [{ sourceHttpOp }, http] = await Promise.all([
        import('./source-http.ts'),
        remotes.http(),
      ]);
      return sourceHttpOp(source, { snapshotter, ...http });
    });
  if (source.identifier.startsWith('git://'))
    return lazyOp(async () => {
      const [{ sourceGitOp }, git] = await Promise.all([import('./source-git.ts'), remotes.git()]);
      return sourceGitOp(source, { snapshotter, ...git });
    });
  return undefined;
}

/** The op of a blob of a registry or a layout; undefined for any other source. */
export function blobSourceOp(source: SourceOp, world: World): Op<BuildResult> | undefined {
  if (!/^(?:docker-image|oci-layout)\+blob:\/\//.test(source.identifier)) return undefined;
  return lazyOp(async () => (await import('./source-blob.ts')).sourceBlobOp(source, world));
}

/** An op that is made at the first call of one of its methods. */
function lazyOp(make: () => Promise<Op<BuildResult>>): Op<BuildResult> {
  let made: Promise<Op<BuildResult>> | undefined;
  const op = () => (made ??= make());
  return {
    resource: 'network',
    cacheMap: async (signal, report) => await (await op()).cacheMap(signal, report),
    run: async (inputs, context) => await (await op()).run(inputs, context),
  };
}
