import type { Digest } from '../../base/digest.ts';
import type { Descriptor } from '../../base/oci.ts';
import { layerDescriptor, type WireConfig, type WireLayer, type WireRecord } from './config.ts';
import { outputName, type RemoteLayer, type RemoteRecord } from './record.ts';

/** A cache in its written form: the config, and the descriptor of each blob that it names. */
export interface MarshalledCache {
  readonly config: WireConfig;
  readonly layers: readonly RemoteLayer[];
  readonly descriptors: readonly Descriptor[];
}

/**
 * Writes records as a config (see config.ts). The same records give the same bytes, in any order.
 */
export function marshalCache(records: readonly RemoteRecord[]): MarshalledCache {
  const ordered = [...records].sort((a, b) => compare(a.key, b.key));
  const stacks = stackTable(ordered);
  const platforms = [...new Set(ordered.flatMap((record) => record.platforms))].sort(compare);
  const result = (layers: readonly RemoteLayer[] | undefined, created: number) =>
    layers
      ? { layers: [{ layer: stacks.index(layers), createdAt: new Date(created).toISOString() }] }
      : {};
  const roots = ordered.map((record): WireRecord => {
    const on = record.platforms.map((name) => platforms.indexOf(name)).sort((a, b) => a - b);
    return {
      ...result(record.outputs[0], record.created),
      digest: record.key,
      ...(on.length < platforms.length ? { on } : {}),
    };
  });
  const outputs = ordered.flatMap((record, link) =>
    record.outputs.slice(1).flatMap((layers, index): WireRecord[] =>
      layers
        ? [
            {
              ...result(layers, record.created),
              digest: outputName(record.key, index + 1),
              inputs: [[{ link }]],
            },
          ]
        : [],
    ),
  );
  return {
    config: {
      layers: stacks.wire,
      records: [...roots, ...outputs, ...aliasRecords(ordered)],
      ...(platforms.length > 0 ? { platforms } : {}),
    },
    layers: stacks.blobs,
    descriptors: stacks.blobs.map(layerDescriptor),
  };
}

/** One record for each alias, even if it leads to several records. */
function aliasRecords(records: readonly RemoteRecord[]): WireRecord[] {
  const targets = new Map<Digest, Set<number>>();
  records.forEach(({ aliases }, index) => {
    for (const alias of aliases) targets.set(alias, (targets.get(alias) ?? new Set()).add(index));
  });
  return [...targets]
    .sort(([a], [b]) => compare(a, b))
    .map(([digest, links]) => ({ digest, inputs: [[...links].map((link) => ({ link }))] }));
}

/** The layers of all stacks as a tree. Its order depends on the layers alone. */
function stackTable(records: readonly RemoteRecord[]) {
  const paths = new Map<
    string,
    { readonly path: string; readonly parent: string; readonly layer: RemoteLayer }
  >();
  const pathOf = (layers: readonly RemoteLayer[]) =>
    layers.map(({ descriptor }) => descriptor.digest).join('>');
  for (const { outputs } of records) {
    for (const stack of outputs) {
      if (!stack) continue;
      for (let depth = stack.length; depth > 0; depth--) {
        const path = pathOf(stack.slice(0, depth));
        if (paths.has(path)) break;
        paths.set(path, {
          path,
          parent: pathOf(stack.slice(0, depth - 1)),
          layer: stack[depth - 1]!,
        });
      }
    }
  }
  const order = [...paths.values()].sort(
    (a, b) =>
      compare(a.layer.descriptor.digest, b.layer.descriptor.digest) || compare(a.path, b.path),
  );
  const indexes = new Map(order.map(({ path }, index) => [path, index]));
  const blobs = new Map<Digest, RemoteLayer>();
  for (const { layer } of order)
    if (!blobs.has(layer.descriptor.digest)) blobs.set(layer.descriptor.digest, layer);
  return {
    wire: order.map(
      ({ layer, parent }): WireLayer => ({
        blob: layer.descriptor.digest,
        parent: parent === '' ? -1 : indexes.get(parent)!,
      }),
    ),
    blobs: [...blobs.values()],
    index: (layers: readonly RemoteLayer[]) => indexes.get(pathOf(layers))!,
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
