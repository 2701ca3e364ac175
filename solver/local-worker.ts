import { KilnError } from '../base/errors.ts';
import { diffOp } from './ops/diff.ts';
import { execOp } from './ops/exec.ts';
import { fileOp } from './ops/file.ts';
import { mergeOp } from './ops/merge.ts';
import { isImageSource, sourceImageOp } from './ops/source-image.ts';
import { sourceLocalOp } from './ops/source-local.ts';
import { blobSourceOp, remoteSourceOp } from './ops/source-remote.ts';
import { squashOp } from './ops/squash.ts';
import type { BuildResult } from './result.ts';
import type { Op } from './solver.ts';
import type { Worker, WorkerVertex } from './worker.ts';
import type { World } from './world.ts';

/**
 * This host as a worker. Its ops use the services of `world`; `limits` says how many run at once.
 */
export function localWorker(world: World, limits: Worker['limits']): Worker {
  return {
    platforms: [world.platform],
    limits,
    opOf: (vertex) => opOf(vertex, world),
    squash: (keep) => squashOp(keep, world),
    async openContainer(spec, session, signal) {
      const { openContainer } = await import('./ops/exec/container.ts');
      return await openContainer(spec, world, session, signal);
    },
  };
}

/** The op of a vertex. This is the only place that knows all kinds of ops. */
function opOf({ op, inputs, metadata }: WorkerVertex, world: World): Op<BuildResult> {
  switch (op.kind) {
    case 'source':
      return sourceOp(op, world);
    case 'exec':
      return execOp(op.exec, inputs.length, op.platform, world, metadata.ignoreCache);
    case 'file':
      return fileOp(op.file, inputs.length, {
        snapshotter: world.snapshotter,
        hasher: world.hasher,
        ...(world.copyPool && { pool: world.copyPool }),
        earlier: world.earlierCopies,
      });
    case 'merge':
      return mergeOp(op.merge, inputs.length, world.snapshotter);
    case 'diff':
      return diffOp(op.diff, inputs.length, world);
    case 'build':
      throw new KilnError(
        'KILN_OP_UNSUPPORTED',
        `the build graph has a ${op.kind} op, which is not supported yet`,
      );
  }
}

function sourceOp(op: WorkerVertex['op'] & { kind: 'source' }, world: World): Op<BuildResult> {
  const { identifier } = op.source;
  if (identifier.startsWith('local://')) return sourceLocalOp(op.source);
  if (isImageSource(identifier))
    return sourceImageOp(op.source, op.platform ?? world.platform, world);
  const remote = remoteSourceOp(op.source, world) ?? blobSourceOp(op.source, world);
  if (remote) return remote;
  const scheme = identifier.split('://', 1)[0];
  throw new KilnError(
    'KILN_SOURCE_UNSUPPORTED',
    `sources of the kind ${scheme}:// are not supported`,
    {
      hint:
        'sources are docker-image://, oci-layout://, local://, git://, http:// and https://, and ' +
        'blobs of docker-image+blob:// and oci-layout+blob://',
    },
  );
}
