import { type Digest, digestOf } from '../../base/digest.ts';
import type { SourceText } from '../../base/errors.ts';
import type { LlbEdge, LlbVertex, OpMetadata, SourceRange } from './graph.ts';
import type { LlbOp } from './ops.ts';
import * as fields from './proto-fields.ts';
import { readMap, readTextMap, unmarshalOp } from './unmarshal.ts';
import {
  asBool,
  asBytes,
  asInt,
  asText,
  malformedGraph,
  readFields,
  type WireField,
} from './wire.ts';

/**
 * Reads pb.Definition and returns the edge that it describes; undefined for an empty definition.
 * Every input must name an op earlier in the list, as BuildKit's client writes it, so cycles are
 * impossible. Throws KILN_LLB_MALFORMED.
 */
export function parseDefinition(bytes: Uint8Array): LlbEdge | undefined {
  const defs: Uint8Array[] = [];
  const metadata = new Map<string, Omit<OpMetadata, 'locations'>>();
  let locations = new Map<string, readonly SourceRange[]>();
  for (const field of readFields(bytes)) {
    if (field.number === fields.DEFINITION.def) defs.push(asBytes(field));
    else if (field.number === fields.DEFINITION.metadata)
      for (const [key, value] of Object.entries(readMap([field], readMetadata)))
        metadata.set(key, value);
    else if (field.number === fields.DEFINITION.source) locations = readSources(asBytes(field));
  }
  const vertices = new Map<Digest, LlbVertex>();
  let result: LlbEdge | undefined;
  for (const bytes of defs) {
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
    const found = metadata.get(digest) ?? { description: {}, caps: [] };
    vertices.set(digest, {
      digest,
      bytes,
      op,
      inputs,
      metadata: { ...found, locations: locations.get(digest) ?? [] },
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

type FileActionKind = Extract<LlbOp, { kind: 'file' }>['file']['actions'][number]['action'];

function owners(action: FileActionKind) {
  if (action.kind === 'rm') return [];
  const value =
    action.kind === 'copy'
      ? action.copy
      : action.kind === 'mkfile'
        ? action.mkfile
        : action.kind === 'mkdir'
          ? action.mkdir
          : action.symlink;
  return [value.owner?.user, value.owner?.group].filter((user) => user !== undefined);
}

function readMetadata(field: WireField | undefined): Omit<OpMetadata, 'locations'> {
  let ignoreCache = false;
  let progressGroup: OpMetadata['progressGroup'];
  const description: WireField[] = [];
  const caps: WireField[] = [];
  for (const inner of field ? readFields(asBytes(field)) : []) {
    if (inner.number === fields.OP_METADATA.ignoreCache) ignoreCache = asBool(inner);
    else if (inner.number === fields.OP_METADATA.description) description.push(inner);
    else if (inner.number === fields.OP_METADATA.caps) caps.push(inner);
    else if (inner.number === fields.OP_METADATA.progressGroup)
      progressGroup = readGroup(asBytes(inner));
  }
  return {
    ...(ignoreCache && { ignoreCache }),
    description: readTextMap(description),
    caps: Object.keys(readMap(caps, (value) => value && asBool(value))).sort(),
    ...(progressGroup && { progressGroup }),
  };
}

function readGroup(bytes: Uint8Array): NonNullable<OpMetadata['progressGroup']> {
  let group = { id: '', name: '', weak: false };
  for (const field of readFields(bytes)) {
    if (field.number === fields.PROGRESS_GROUP.id) group = { ...group, id: asText(field) };
    else if (field.number === fields.PROGRESS_GROUP.name) group = { ...group, name: asText(field) };
    else if (field.number === fields.PROGRESS_GROUP.weak) group = { ...group, weak: asBool(field) };
  }
  return group;
}

function readSources(bytes: Uint8Array): Map<string, readonly SourceRange[]> {
  const sources: SourceText[] = [];
  const locations: WireField[] = [];
  for (const field of readFields(bytes)) {
    if (field.number === fields.SOURCE.locations) locations.push(field);
    else if (field.number === fields.SOURCE.infos) sources.push(readSource(asBytes(field)));
  }
  return new Map(
    Object.entries(
      readMap(locations, (value) => (value ? readLocations(asBytes(value), sources) : [])),
    ),
  );
}

function readSource(bytes: Uint8Array): SourceText {
  let name = '';
  let text = '';
  for (const field of readFields(bytes)) {
    if (field.number === fields.SOURCE_INFO.filename) name = asText(field);
    else if (field.number === fields.SOURCE_INFO.data)
      text = Buffer.from(asBytes(field)).toString();
  }
  return { name, text };
}

/** Reads pb.Locations. Returns one range per location, from its first line to its last. */
function readLocations(bytes: Uint8Array, sources: readonly SourceText[]): SourceRange[] {
  const found: SourceRange[] = [];
  for (const location of readFields(bytes)) {
    if (location.number !== fields.LOCATIONS.locations) continue;
    let index = 0;
    let first = Number.POSITIVE_INFINITY;
    let last = 0;
    for (const field of readFields(asBytes(location))) {
      if (field.number === fields.LOCATION.sourceIndex) index = asInt(field);
      if (field.number !== fields.LOCATION.ranges) continue;
      for (const position of readFields(asBytes(field))) {
        for (const part of readFields(asBytes(position))) {
          if (part.number !== fields.POSITION.line) continue;
          first = Math.min(first, asInt(part));
          last = Math.max(last, asInt(part));
        }
      }
    }
    const source = sources[index];
    if (source && last > 0)
      found.push({
        source,
        start: { line: first, character: 0 },
        end: { line: last, character: 0 },
      });
  }
  return found;
}
