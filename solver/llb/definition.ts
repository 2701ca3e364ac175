import type { PbfWriter } from 'pbf';
import { type Digest, digestOf } from '../../base/digest.ts';
import type { SourceText } from '../../base/errors.ts';
import type { LlbEdge, LlbVertex, OpMetadata, SourceRange } from './graph.ts';
import { marshalResult } from './marshal.ts';
import type { LlbOp } from './ops.ts';
import * as fields from './proto-fields.ts';
import { topological } from './walk.ts';
import * as wire from './wire.ts';

/** BuildKit's pb.Definition. */
export interface Definition {
  /**
   * Marshalled ops, inputs first. The last one has no kind and only names the result. Empty for an
   * empty result.
   */
  readonly def: readonly Uint8Array[];
  readonly metadata: ReadonlyMap<Digest, DefinitionMetadata>;
  readonly sources: readonly SourceText[];
  readonly locations: ReadonlyMap<Digest, readonly SourceRange[]>;
}

export type DefinitionMetadata = Omit<OpMetadata, 'locations'>;

/**
 * The whole graph below `edge`, as BuildKit's client would send it. For an empty result (undefined)
 * the definition is empty.
 */
export function toDefinition(edge: LlbEdge | undefined): Definition {
  if (!edge) return { def: [], metadata: new Map(), sources: [], locations: new Map() };
  const vertices = topological(edge);
  const result = marshalResult({ digest: edge.vertex.digest, index: edge.output });
  return {
    def: [...vertices.map((v) => v.bytes), result],
    metadata: new Map([
      ...vertices.map((v) => [v.digest, v.metadata] as const),
      [digestOf(result), resultMetadata(vertices)],
    ]),
    sources: [...new Set(vertices.flatMap((v) => v.metadata.locations.map((l) => l.source)))],
    locations: new Map(vertices.map((v) => [v.digest, v.metadata.locations])),
  };
}

function resultMetadata(vertices: readonly LlbVertex[]): DefinitionMetadata {
  const caps = ['constraints', 'platform'];
  if (vertices.some((v) => v.metadata.ignoreCache)) caps.push('meta.ignorecache');
  if (vertices.some((v) => Object.keys(v.metadata.description).length > 0))
    caps.push('meta.description');
  return { description: {}, caps };
}

/**
 * Protobuf of a definition, as `buildctl build` reads it on stdin. Equal graphs give equal bytes.
 */
export function marshalDefinition(definition: Definition): Uint8Array {
  return wire.encode((out) => {
    for (const op of definition.def) out.writeBytesField(fields.DEFINITION.def, op);
    wire.writeMap(
      out,
      fields.DEFINITION.metadata,
      Object.fromEntries(definition.metadata),
      (entry, value) => wire.writeMessage(entry, fields.MAP_ENTRY.value, writeMetadata, value),
    );
    if (definition.def.length > 0)
      wire.writeMessage(out, fields.DEFINITION.source, writeSources, definition);
  });
}

function writeMetadata(out: PbfWriter, metadata: DefinitionMetadata): void {
  wire.writeBool(out, fields.OP_METADATA.ignoreCache, metadata.ignoreCache);
  wire.writeTextMap(out, fields.OP_METADATA.description, metadata.description);
  const caps = Object.fromEntries(metadata.caps.map((cap) => [cap, true] as const));
  wire.writeMap(out, fields.OP_METADATA.caps, caps, (entry, value) =>
    entry.writeBooleanField(fields.MAP_ENTRY.value, value),
  );
  wire.writeMessage(
    out,
    fields.OP_METADATA.progressGroup,
    (inner, group) => {
      wire.writeText(inner, fields.PROGRESS_GROUP.id, group.id);
      wire.writeText(inner, fields.PROGRESS_GROUP.name, group.name);
      wire.writeBool(inner, fields.PROGRESS_GROUP.weak, group.weak);
    },
    metadata.progressGroup,
  );
}

function writeSources(out: PbfWriter, definition: Definition): void {
  wire.writeMap(
    out,
    fields.SOURCE.locations,
    Object.fromEntries(definition.locations),
    (entry, ranges) => {
      wire.writeMessage(
        entry,
        fields.MAP_ENTRY.value,
        (inner, value) => {
          for (const range of value)
            writeLocation(inner, range, definition.sources.indexOf(range.source));
        },
        ranges,
      );
    },
  );
  for (const source of definition.sources) {
    wire.writeMessage(
      out,
      fields.SOURCE.infos,
      (inner, value) => {
        wire.writeText(inner, fields.SOURCE_INFO.filename, value.name);
        wire.writeBytes(inner, fields.SOURCE_INFO.data, Buffer.from(value.text));
        wire.writeText(inner, fields.SOURCE_INFO.language, 'Dockerfile');
      },
      source,
    );
  }
}

function writePosition(out: PbfWriter, line: number): void {
  wire.writeInt(out, fields.POSITION.line, line);
}

/** Writes one range for each line, as BuildKit's Dockerfile frontend does. */
function writeLocation(out: PbfWriter, range: SourceRange, sourceIndex: number): void {
  wire.writeMessage(
    out,
    fields.LOCATIONS.locations,
    (inner, { start, end }) => {
      wire.writeInt(inner, fields.LOCATION.sourceIndex, sourceIndex);
      for (let line = start.line; line <= Math.max(start.line, end.line); line++) {
        wire.writeMessage(
          inner,
          fields.LOCATION.ranges,
          (pair, at) => {
            wire.writeMessage(pair, fields.RANGE.start, writePosition, at);
            wire.writeMessage(pair, fields.RANGE.end, writePosition, line);
          },
          line,
        );
      }
    },
    range,
  );
}

/** One vertex as `kiln debug dump-llb` prints it. */
export interface JsonVertex {
  readonly digest: Digest;
  readonly op: LlbOp;
  /** Each as `digest:output`. */
  readonly inputs: readonly string[];
  readonly metadata: Omit<DefinitionMetadata, 'caps'> & {
    readonly caps: readonly string[];
    readonly lines: readonly (readonly [number, number])[];
  };
}

/**
 * The graph as plain values for JSON.stringify, in the order of the definition. Bytes are base64,
 * times beyond 2^53 are decimal strings.
 */
export function definitionJson(edge: LlbEdge | undefined): readonly JsonVertex[] {
  if (!edge) return [];
  return topological(edge).map((vertex) => {
    const { locations, ...metadata } = vertex.metadata;
    return {
      digest: vertex.digest,
      op: plain(vertex.op),
      inputs: vertex.inputs.map((input) => `${input.vertex.digest}:${input.output}`),
      metadata: { ...metadata, lines: locations.map((l) => [l.start.line, l.end.line] as const) },
    };
  });
}

function plain<T>(value: T): T {
  return JSON.parse(
    JSON.stringify(value, function (this: unknown, key: string, item: unknown) {
      // JSON.stringify has already called Buffer's toJSON for `item`, so the original value is
      // looked up.
      const raw = (this as Record<string, unknown>)[key];
      if (raw instanceof Uint8Array) return Buffer.from(raw).toString('base64');
      return typeof item === 'bigint' ? item.toString() : item;
    }),
  ) as T;
}
