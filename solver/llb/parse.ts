import { type Digest, digestOf } from '../../base/digest.ts';
import type { SourceText } from '../../base/errors.ts';
import { DEFINITION, type DefinitionMessage, type LocationMessage } from './definition-message.ts';
import { type FileAction, ownershipOf, type UserOpt } from './file-op.ts';
import type { LlbEdge, LlbVertex, SourceRange } from './graph.ts';
import { unmarshalOp } from './marshal.ts';
import type { LlbOp } from './ops.ts';
import { malformedGraph } from './wire.ts';

/**
 * Reads pb.Definition and returns the edge that it describes; undefined for an empty definition.
 * Every input must name an op earlier in the list, as BuildKit's client writes it, so cycles are
 * impossible. Throws KILN_LLB_MALFORMED.
 */
export function parseDefinition(bytes: Uint8Array): LlbEdge | undefined {
  const { def, metadata, source } = DEFINITION.read(bytes);
  const metadataOf = new Map(Object.entries(metadata));
  const locationsOf = rangesIn(source);
  const vertices = new Map<Digest, LlbVertex>();
  let result: LlbEdge | undefined;
  for (const bytes of def) {
    if (result) throw malformedGraph('an op comes after the result');
    const { op, inputs: names } = unmarshalOp(bytes);
    const inputs = names.map(({ digest, index }) => {
      const vertex = vertices.get(digest);
      if (!vertex) throw malformedGraph(`input ${digest} is not defined before it is used`);
      if (index < 0) throw malformedGraph(`output ${index} of ${digest} does not exist`);
      return { vertex, output: index };
    });
    if (!op) {
      if (inputs.length !== 1) throw malformedGraph('the result must have one input');
      result = inputs[0];
      continue;
    }
    checkIndexes(op, inputs.length);
    const digest = digestOf(bytes);
    const found = metadataOf.get(digest) ?? { description: {}, caps: [] };
    vertices.set(digest, {
      digest,
      bytes,
      op,
      inputs,
      metadata: { ...found, locations: locationsOf.get(digest) ?? [] },
    });
  }
  if (!result && vertices.size > 0) throw malformedGraph('the result is missing');
  return result;
}

/** Throws KILN_LLB_MALFORMED if an op refers to an input that it does not have. */
function checkIndexes(op: LlbOp, inputs: number): void {
  const within = (index: number, limit: number): void => {
    if (index < -1 || index >= limit)
      throw malformedGraph(`input ${index} of ${limit} does not exist`);
  };
  switch (op.kind) {
    case 'exec':
      for (const mount of op.exec.mounts) within(mount.input, inputs);
      return;
    case 'file':
      for (const [i, action] of op.file.actions.entries()) {
        // An action may read the results of earlier actions.
        within(action.input, inputs + i);
        within(action.secondaryInput, inputs + i);
        for (const user of owners(action.action))
          if (user.by === 'name') within(user.input, inputs);
      }
      return;
    case 'merge':
      for (const { input } of op.merge.inputs) within(input, inputs);
      return;
    case 'diff':
      within(op.diff.lower.input, inputs);
      within(op.diff.upper.input, inputs);
      return;
    case 'build':
      for (const { input } of Object.values(op.build.inputs)) within(input, inputs);
      return;
    case 'source':
      if (inputs > 0) throw malformedGraph('a source has no inputs');
      return;
    default:
      op satisfies never;
  }
}

function owners(action: FileAction['action']): UserOpt[] {
  const owner = ownershipOf(action)?.owner;
  return [owner?.user, owner?.group].filter((user) => user !== undefined);
}

/** One range per location, from its first line to its last, by the digest of the op. */
function rangesIn(source: DefinitionMessage['source']): Map<string, readonly SourceRange[]> {
  const texts = (source?.infos ?? []).map(
    ({ filename, data, language, definition }): SourceText => ({
      name: filename,
      text: Buffer.from(data).toString(),
      told: { language, definition },
    }),
  );
  const rangesOf = ({ sourceIndex, ranges }: LocationMessage): SourceRange[] => {
    const text = texts[sourceIndex];
    // A range may have no end.
    const lines = ranges
      .flatMap(({ start, end }) => [start.line, end.line])
      .filter((line) => line > 0);
    const first = lines.reduce((least, line) => Math.min(least, line), Number.POSITIVE_INFINITY);
    const last = lines.reduce((most, line) => Math.max(most, line), 0);
    if (!text || last === 0) return [];
    const character = ranges[0]?.start.character ?? 0;
    return [{ source: text, start: { line: first, character }, end: { line: last, character: 0 } }];
  };
  return new Map(
    Object.entries(source?.locations ?? {}).map(([digest, { locations }]) => [
      digest,
      locations.flatMap(rangesOf),
    ]),
  );
}
