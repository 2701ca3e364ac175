import { type Digest, digestOf } from '../../base/digest.ts';
import type { SourceText } from '../../base/errors.ts';
import {
  DEFINITION,
  type DefinitionMessage,
  type DefinitionMetadata,
  type LocationMessage,
} from './definition-message.ts';
import type { LlbEdge, LlbVertex, SourceRange } from './graph.ts';
import { marshalResult } from './marshal.ts';
import type { LlbOp } from './ops.ts';
import { topological } from './walk.ts';
import { encode } from './wire.ts';

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

/** The fields of pb.Definition. */
export function definitionMessage(definition: Definition): DefinitionMessage {
  const { def, metadata } = definition;
  return {
    def,
    metadata: Object.fromEntries(metadata),
    ...(def.length > 0 && { source: sourcesOf(definition) }),
  };
}

/**
 * Protobuf of a definition, as `buildctl build` reads it on stdin. Equal graphs give equal bytes.
 */
export function marshalDefinition(definition: Definition): Uint8Array {
  return encode((out) => DEFINITION.write(out, definitionMessage(definition)));
}

const DOCKERFILE: NonNullable<SourceText['told']> = { language: 'Dockerfile' };

function sourcesOf({ sources, locations }: Definition) {
  const located = [...locations].map(([digest, ranges]) => {
    const found = ranges.map((range) => locationOf(range, sources.indexOf(range.source)));
    return [digest, { locations: found }] as const;
  });
  return {
    locations: Object.fromEntries(located),
    infos: sources.map(({ name, text, told: { language, definition } = DOCKERFILE }) => ({
      filename: name,
      data: Buffer.from(text),
      ...(definition && { definition }),
      language,
    })),
  };
}

/** One range for each line, as BuildKit's Dockerfile frontend writes it. */
function locationOf({ start, end }: SourceRange, sourceIndex: number): LocationMessage {
  const lines = Math.max(start.line, end.line) - start.line + 1;
  return {
    sourceIndex,
    ranges: Array.from({ length: lines }, (_, at) => {
      const position = { line: start.line + at, character: at === 0 ? start.character : 0 };
      return { start: position, end: position };
    }),
  };
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
