import type { Digest } from '../../base/digest.ts';
import { assembleJob, gatherJob } from '../copying/jobs.ts';
import type { WantedForm } from '../packer.ts';
import type { LayerInfo } from '../snapshotter.ts';
import type { AnyJob, Job } from '../workers/job.ts';
import { createEncoder } from './encoder.ts';
import { inflate, magicOf } from './inflate.ts';
import {
  type DescribeInput,
  describeLayer,
  encodeTo,
  type Packed,
  type PackInput,
  packLayer,
} from './pack.ts';
import { type ReplayInput, replayLayers } from './replay.ts';
import { type UnpackInput, unpackLayer } from './unpack.ts';

export interface ConvertInput {
  readonly blob: string;
  readonly to: string;
  readonly wanted: WantedForm;
  /** See PackInput. */
  readonly written?: BigInt64Array | undefined;
}

export const describeJob: Job<DescribeInput, LayerInfo> = {
  name: 'layer.describe',
  run: describeLayer,
};
export const packJob: Job<PackInput, Packed> = { name: 'layer.pack', run: packLayer };
export const unpackJob: Job<UnpackInput, LayerInfo | undefined> = {
  name: 'layer.unpack',
  run: unpackLayer,
};
export const replayJob: Job<ReplayInput, void> = { name: 'layer.replay', run: replayLayers };

/** The same tar in another compression. */
export const convertJob: Job<ConvertInput, Packed> = {
  name: 'layer.convert',
  async run({ blob, to, wanted, written }, context) {
    using encoder = createEncoder(wanted);
    let tarSize = 0;
    const made = await encodeTo(
      to,
      sized(blob, encoder.piece, (size) => (tarSize += size)),
      encoder,
      { give: () => {} },
      context,
      written,
    );
    return { ...made, info: { diffId: made.diffId as Digest, tarSize, empty: false } };
  },
};

/** Pieces of one size, as encoders need them. A decompressor gives pieces of any size. */
async function* sized(
  blob: string,
  size: number,
  count: (size: number) => void,
): AsyncGenerator<Buffer> {
  let piece = Buffer.allocUnsafeSlow(size);
  let filled = 0;
  for await (const bytes of inflate(blob, magicOf(blob))) {
    count(bytes.length);
    for (let at = 0; at < bytes.length; ) {
      const copied = bytes.copy(piece, filled, at);
      at += copied;
      filled += copied;
      if (filled < size) continue;
      yield piece;
      piece = Buffer.allocUnsafeSlow(size);
      filled = 0;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
}

export const layerJobs: readonly AnyJob[] = [
  describeJob,
  packJob,
  unpackJob,
  convertJob,
  replayJob,
  assembleJob,
  gatherJob,
];
