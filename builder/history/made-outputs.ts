import type { Digest } from '../../base/digest.ts';
import { formatReference } from '../../base/reference.ts';
import type { AssembledImage } from '../../exporter/image.ts';
import type { OutputSpec } from '../../exporter/output-spec.ts';

/** What the last line of a log says of an output. */
export interface MadeOutput {
  readonly type: string;
  /** The image or index. Absent for files. */
  readonly digest?: Digest;
  readonly names: readonly string[];
  /** The bytes of its layers together. Absent for an index and for files. */
  readonly size?: number;
  /** Where its files are. */
  readonly dest?: string;
}

/** `images` are those that were made, by the number of the output. */
export function madeOutputs(
  specs: readonly OutputSpec[],
  images: ReadonlyMap<number, AssembledImage>,
): readonly MadeOutput[] {
  return specs.map((spec, output) => {
    const image = images.get(output);
    const [manifest, ...more] = image?.manifests ?? [];
    const dest = destOf(spec);
    return {
      type: spec.type,
      names: 'image' in spec ? spec.image.names.map(formatReference) : [],
      ...(image && { digest: image.target.digest }),
      ...(manifest &&
        more.length === 0 && { size: manifest.layers.reduce((sum, { size }) => sum + size, 0) }),
      ...(dest !== undefined && { dest }),
    };
  });
}

function destOf(spec: OutputSpec): string | undefined {
  if ('directory' in spec) return spec.directory;
  if (!('destination' in spec) || !spec.destination) return undefined;
  return spec.destination.kind === 'file' ? spec.destination.path : '-';
}
