import { messageOf } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { formatPlatformInFull } from '../../base/platform.ts';
import type { ProgressSink } from '../../base/progress.ts';
import { familiarName, withoutLatest } from '../../base/reference.ts';
import type { RemoteLayer } from '../../cache/remote/record.ts';
import { withSoundBlobs } from '../../exporter/again.ts';
import { cacheDocuments } from '../../exporter/cache/cache-documents.ts';
import {
  finishedSteps,
  originsOf,
  type PackContext,
  packedRecords,
  seenRecords,
} from '../../exporter/cache/collect.ts';
import { exportCache } from '../../exporter/cache/target.ts';
import { reported } from '../../exporter/export-report.ts';
import type { ExportResponse } from '../../exporter/exporter.ts';
import type { Outcomes } from '../export/outcomes.ts';
import type { CacheFileSpec } from '../request.ts';
import { type CachedTarget, candidatesOf, type KeyedSteps } from './cached-target.ts';
import { type BlobSources, lostBlobs, openTarget } from './open-target.ts';
import { stepsOfResult } from './result-steps.ts';

/** How the caches of one build are written. */
export interface CacheWriting extends Omit<BlobSources, 'origins'> {
  /** Says how layers are packed into blobs for a cache. */
  readonly packing: (spec: CacheFileSpec) => PackContext;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** What the caches are written from, when no more steps run. */
export interface CachesToWrite {
  readonly steps: KeyedSteps;
  readonly targets: readonly CachedTarget[];
  /** The build has failed. A cache that cannot be written is then only a warning. */
  readonly failed: boolean;
  readonly outcomes: Outcomes | undefined;
}

/**
 * Writes the caches of `specs`, one after the other. Returns the descriptor of the last cache's
 * manifest as `cache.manifest`. A cache that cannot be written is a failure in `outcomes`, or a
 * warning with `ignore-error=true`.
 */
export async function writeCaches(
  specs: readonly CacheFileSpec[],
  written: CachesToWrite,
  writing: CacheWriting,
): Promise<ExportResponse> {
  const { failed, outcomes } = written;
  const response: Record<string, unknown> = {};
  for (const spec of specs) {
    const place = spec.type === 'registry' ? familiarName(withoutLatest(spec.ref)) : spec.dest;
    try {
      const manifest = await withSoundBlobs(() => writeCache(spec, written, writing));
      if (manifest) response['cache.manifest'] = manifest;
      outcomes?.done(`cache to ${place}`);
    } catch (error) {
      if (writing.signal.aborted) throw error;
      if (!failed && !spec.ignoreError) outcomes?.failed(`cache to ${place}`, error);
      else warn(writing, `the cache was not exported to ${place}: ${messageOf(error)}`);
    }
  }
  return response;
}

async function writeCache(
  spec: CacheFileSpec,
  { steps: keyed, targets, failed }: CachesToWrite,
  writing: CacheWriting,
): Promise<Descriptor | undefined> {
  const { mode, imageManifest, ociTypes } = spec;
  const { signal } = writing;
  const packing = writing.packing(spec);
  const { snapshotter } = packing;
  const name =
    spec.type === 'local' ? 'exporting cache to client directory' : 'exporting cache to registry';
  return await reported(name, writing, async (report) => {
    const candidates = candidatesOf(keyed, targets);
    const all = finishedSteps(candidates, keyed.cache, snapshotter);
    const steps =
      mode === 'max' ? all : await stepsOfResult(all, keyed, targets, snapshotter, signal);
    const packed = await report.task('preparing build cache for export', () =>
      packedRecords(steps, packing),
    );
    // After a failure the steps that are not in `steps` may not have run, so they are left out.
    const records = failed ? packed : [...packed, ...seenRecords(candidates, steps)];
    const blobs = { ...writing, origins: originsOf(all) };
    const target = await openTarget(spec, blobs, signal);
    const findLost = (layers: readonly RemoteLayer[]) => lostBlobs(layers, spec, blobs, signal);
    const platforms = targets.map(({ platform }) => formatPlatformInFull(platform));
    const wanted = { records, platforms, failed, form: { imageManifest, ociTypes }, findLost };
    return await exportCache(target, wanted, cacheDocuments, report, (text) => warn(writing, text));
  });
}

function warn({ progress }: CacheWriting, short: string): void {
  progress({ kind: 'warning', short, detail: [] });
}
