import { type Digest, digestOf } from '../../base/digest.ts';
import type { SourceText } from '../../base/errors.ts';
import { DEFINITION, type DefinitionMessage, type LocationMessage } from './definition-message.ts';
import { type FileAction, ownershipOf, type UserOpt } from './file-op.ts';
import type { LlbEdge, LlbVertex, SourceRange } from './graph.ts';
import { unmarshalOp } from './marshal.ts';
import type { LlbOp } from './ops.ts';
import { malformedGraph } from './wire.ts';

/** A build that needs more steps is none that anybody has written. */
const MAX_OPS = 20_000;
/** The most of one op: what it costs to wait for inputs grows with their square. */
const MAX_INPUTS = 1_000;

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
  if (def.length > MAX_OPS) throw malformedGraph(`it has more than ${MAX_OPS} ops`);
  for (const bytes of def) {
    if (result) throw malformedGraph('an op comes after the result');
    const { op, inputs: names } = unmarshalOp(bytes);
    if (names.length > MAX_INPUTS) throw malformedGraph(`an op has more than ${MAX_INPUTS} inputs`);
    const inputs = names.map(({ digest, index }) => {
      const vertex = vertices.get(digest);
      if (!vertex) throw malformedGraph(`input ${digest} is not defined before it is used`);
      if (index < 0 || index >= outputsOf(vertex.op))
        throw malformedGraph(`output ${index} of ${digest} does not exist`);
      return { vertex, output: index };
    });
    if (!op) {
      if (inputs.length !== 1) throw malformedGraph('the result must have one input');
      result = inputs[0];
      continue;
    }
    checkIndexes(op, inputs.length);
    checkPaths(op);
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

/** How many outputs an op has: one more than the highest index that one of its parts names. */
function outputsOf(op: LlbOp): number {
  switch (op.kind) {
    case 'exec':
      return 1 + op.exec.mounts.reduce((most, { output }) => Math.max(most, output), -1);
    case 'file':
      return 1 + op.file.actions.reduce((most, { output }) => Math.max(most, output), -1);
    default:
      return 1;
  }
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

/** Linux takes no longer path: it is refused here, before anybody cuts it into names. */
const MAX_PATH = 4096;

/** Throws KILN_LLB_MALFORMED if an op names a path that no system could have. */
function checkPaths(op: LlbOp): void {
  for (const path of pathsOf(op))
    if (path !== undefined && Buffer.byteLength(path) >= MAX_PATH)
      throw malformedGraph(`a path has ${MAX_PATH} bytes or more`);
}

function pathsOf(op: LlbOp): readonly (string | undefined)[] {
  if (op.kind === 'exec')
    return [op.exec.meta.cwd, ...op.exec.mounts.flatMap(({ dest, selector }) => [dest, selector])];
  if (op.kind !== 'file') return [];
  return op.file.actions.flatMap(({ action }) => {
    switch (action.kind) {
      case 'copy':
        return [action.copy.src, action.copy.dest];
      case 'symlink':
        return [action.symlink.oldpath, action.symlink.newpath];
      case 'mkfile':
        return [action.mkfile.path];
      case 'mkdir':
        return [action.mkdir.path];
      case 'rm':
        return [action.rm.path];
      default:
        return action satisfies never;
    }
  });
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
