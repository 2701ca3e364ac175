import type { Digest } from '../../base/digest.ts';
import type { CacheRecord, CacheStore } from '../../cache/cache.ts';
import { RemoteStack } from '../../cache/remote/imported.ts';
import { MAX_OUTPUTS, type RemoteLayer, type RemoteRecord } from '../../cache/remote/record.ts';
import type { ImageOrigin } from '../../registry/pull.ts';
import type { LayerPacker, WantedForm } from '../../snapshotter/packer.ts';
import type { Snapshot, Snapshotter } from '../../snapshotter/snapshotter.ts';
import { snapshotOf } from '../../solver/result.ts';
import { layerType } from '../parts.ts';

/**
 * A step of the build that may be exported: its links, and the platforms for which it was part of
 * the build.
 */
export interface Candidate {
  readonly key: Digest;
  readonly aliases: readonly Digest[];
  readonly platforms: readonly string[];
}

/**
 * The result of a step: layers of the store, or layers of a cache that did not have to be
 * downloaded.
 */
export type StepOutput = Snapshot | RemoteStack;

/** A step that has a result. */
export interface FinishedStep {
  readonly candidate: Candidate;
  /** Undefined for one that is not known, or that has no layers. */
  readonly outputs: readonly (StepOutput | undefined)[];
  /** Milliseconds since 1970. */
  readonly created: number;
}

/** The candidates that have a result with at least one layer. */
export function finishedSteps(
  candidates: readonly Candidate[],
  cache: CacheStore,
  snapshotter: Pick<Snapshotter, 'has'>,
): FinishedStep[] {
  return candidates.flatMap((candidate) => {
    const own = cache.load(candidate.key);
    for (const record of [...(own ? [own] : []), ...(cache.imported?.load(candidate.key) ?? [])]) {
      const outputs = outputsOf(record, snapshotter);
      if (outputs) return [{ candidate, outputs, created: record.created }];
    }
    return [];
  });
}

function outputsOf(
  record: CacheRecord,
  snapshotter: Pick<Snapshotter, 'has'>,
): (StepOutput | undefined)[] | undefined {
  const outputs = record.outputs.slice(0, MAX_OUTPUTS).map((value) => {
    const output = value instanceof RemoteStack ? value : snapshotOf(value);
    if (!output || output.layers.length === 0) return undefined;
    return output instanceof RemoteStack || snapshotter.has(output) ? output : undefined;
  });
  return outputs.some((output) => output !== undefined) ? outputs : undefined;
}

export interface PackContext {
  readonly packer: LayerPacker;
  readonly snapshotter: Snapshotter;
  readonly wanted: WantedForm;
  readonly ociTypes: boolean;
  /**
   * In seconds since 1970. No time in a layer built here may be later. The value is that of the
   * image, so that image and cache have the same blobs.
   */
  readonly clamp: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * The layers of an output as blobs in the content store, with `windows` in the form of images for
 * Windows. Layers that are elsewhere are not fetched.
 */
export async function packedOutput(
  output: StepOutput,
  context: PackContext,
  windows = false,
): Promise<readonly RemoteLayer[]> {
  if (output instanceof RemoteStack) return output.layers;
  const { packer, snapshotter, wanted, ociTypes, clamp, signal } = context;
  return await Promise.all(
    output.layers.map(async (id) => {
      const layer = snapshotter.packedAs(id, { clamp, windows });
      const { digest, size, diffId, compression } = await packer.pack(layer, wanted, signal);
      return {
        diffId,
        created: packer.created(layer),
        descriptor: { mediaType: layerType(compression, ociTypes), digest, size },
        ...(snapshotter.isForWindows(layer) && { windows: true }),
      };
    }),
  );
}

export async function packedRecords(
  steps: readonly FinishedStep[],
  context: PackContext,
): Promise<RemoteRecord[]> {
  return await Promise.all(
    steps.map(async ({ candidate, outputs, created }) => {
      const windows = candidate.platforms.filter((platform) => platform.startsWith('windows'));
      const others = candidate.platforms.length - windows.length;
      // One record has one form, and images for Windows and others need different ones.
      const isMixed = windows.length > 0 && others > 0;
      const pack = (output: StepOutput) => packedOutput(output, context, windows.length > 0);
      return {
        ...candidate,
        created,
        outputs: isMixed ? [] : await Promise.all(outputs.map((output) => output && pack(output))),
      };
    }),
  );
}

/**
 * Records without a result, for the candidates that are not exported. They say that the step was
 * seen.
 */
export function seenRecords(
  candidates: readonly Candidate[],
  exported: readonly FinishedStep[],
): RemoteRecord[] {
  const keys = new Set(exported.map(({ candidate }) => candidate.key));
  return candidates
    .filter(({ key, aliases }) => aliases.length > 0 && !keys.has(key))
    .map((candidate) => ({ ...candidate, outputs: [], created: 0 }));
}

/** The places of layer blobs that are not in the store. */
export function originsOf(steps: readonly FinishedStep[]): Map<Digest, ImageOrigin> {
  const origins = new Map<Digest, ImageOrigin>();
  for (const output of steps.flatMap(({ outputs }) => outputs)) {
    if (!(output instanceof RemoteStack)) continue;
    for (const { descriptor } of output.layers) origins.set(descriptor.digest, output.origin);
  }
  return origins;
}

/** The diffIDs of an output, bottom first. */
export async function diffIdsOf(
  output: StepOutput,
  snapshotter: Pick<Snapshotter, 'describe'>,
  signal: AbortSignal,
): Promise<readonly Digest[]> {
  if (output instanceof RemoteStack) return output.layers.map(({ diffId }) => diffId);
  return await Promise.all(
    output.layers.map(async (layer) => (await snapshotter.describe(layer, signal)).diffId),
  );
}

/** The positions of the layers of `part` in `whole`, in order. Undefined when one is missing. */
export function positionsIn(
  part: readonly Digest[],
  whole: readonly Digest[],
): number[] | undefined {
  const positions: number[] = [];
  for (const diffId of part) {
    const at = whole.indexOf(diffId, (positions.at(-1) ?? -1) + 1);
    if (at < 0) return undefined;
    positions.push(at);
  }
  return positions;
}
