import { messageOf } from '../../base/errors.ts';
import type { Descriptor } from '../../base/oci.ts';
import { formatPlatform } from '../../base/platform.ts';
import { familiarName, withoutLatest } from '../../base/reference.ts';
import { withSoundBlobs } from '../../exporter/again.ts';
import { cacheDocuments } from '../../exporter/cache/cache-documents.ts';
import {
  finishedSteps,
  originsOf,
  packedRecords,
  seenRecords,
} from '../../exporter/cache/collect.ts';
import { exportCache } from '../../exporter/cache/target.ts';
import { reported } from '../../exporter/export-report.ts';
import type { ExportResponse } from '../../exporter/exporter.ts';
import type { BuildContext } from '../build-context.ts';
import type { Outcomes } from '../export/outcomes.ts';
import type { CacheFileSpec } from '../request.ts';
import { type CachedTarget, candidatesOf, type KeyedSteps } from './cached-target.ts';
import { type BlobSources, openTarget } from './open-target.ts';
import { packContext } from './pack-context.ts';
import { stepsOfResult } from './result-steps.ts';

/** What the caches are written from, when no more steps run. */
export interface CachesToWrite extends Omit<BlobSources, 'origins'> {
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
  context: BuildContext,
): Promise<ExportResponse> {
  const { failed, outcomes } = written;
  const response: Record<string, unknown> = {};
  for (const spec of specs) {
    const place = spec.type === 'registry' ? familiarName(withoutLatest(spec.ref)) : spec.dest;
    try {
      const manifest = await withSoundBlobs(() => writeCache(spec, written, context));
      if (manifest) response['cache.manifest'] = manifest;
      outcomes?.done(`cache to ${place}`);
    } catch (error) {
      if (context.signal.aborted) throw error;
      if (!failed && !spec.ignoreError) outcomes?.failed(`cache to ${place}`, error);
      else warn(context, `the cache was not exported to ${place}: ${messageOf(error)}`);
    }
  }
  return response;
}

async function writeCache(
  spec: CacheFileSpec,
  { steps: keyed, targets, failed, ...blobs }: CachesToWrite,
  context: BuildContext,
): Promise<Descriptor | undefined> {
  const { mode, imageManifest, ociTypes } = spec;
  const name =
    spec.type === 'local' ? 'exporting cache to client directory' : 'exporting cache to registry';
  return await reported(name, context, async (report) => {
    const candidates = candidatesOf(keyed, targets);
    const all = finishedSteps(candidates, keyed.cache, context.engine.snapshotter);
    const steps = mode === 'max' ? all : await stepsOfResult(all, keyed, targets, context);
    const packed = await report.task('preparing build cache for export', () =>
      packedRecords(steps, packContext(spec, context)),
    );
    // After a failure the steps that are not in `steps` may not have run, so they are left out.
    const records = failed ? packed : [...packed, ...seenRecords(candidates, steps)];
    const target = await openTarget(spec, { ...blobs, origins: originsOf(all) }, context);
    const platforms = targets.map(({ platform }) => formatPlatform(platform));
    const wanted = { records, platforms, failed, form: { imageManifest, ociTypes } };
    return await exportCache(target, wanted, cacheDocuments, report, (text) => warn(context, text));
  });
}

function warn({ progress }: BuildContext, short: string): void {
  progress({ kind: 'warning', short, detail: [] });
}
