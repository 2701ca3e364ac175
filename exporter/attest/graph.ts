import { redactBytes } from '../../base/redact.ts';
import type { FileAction } from '../../solver/llb/file-op.ts';
import type { LlbEdge, LlbVertex, SourceRange } from '../../solver/llb/graph.ts';
import { type LlbOp, OP } from '../../solver/llb/ops.ts';
import { topological } from '../../solver/llb/walk.ts';

/**
 * The graph as BuildKit's provenance shows it (solver/llbsolver/provenance, buildconfig.go): the
 * JSON form of its protobuf messages. The table of the vertices' digests is left out, because the
 * digest of a local directory differs in each session.
 */
export interface GraphSteps {
  readonly llbDefinition: readonly object[];
  readonly locations: Readonly<Record<string, object>>;
}

export function graphSteps(edge: LlbEdge | undefined): GraphSteps {
  const vertices = edge ? topological(edge) : [];
  const ids = new Map(vertices.map((vertex, index) => [vertex.digest, `step${index}`]));
  const id = ({ vertex, output }: LlbEdge) => `${ids.get(vertex.digest)}:${output}`;
  const steps = vertices.map((vertex, index) => ({
    id: `step${index}`,
    op: opJson(vertex),
    inputs: nonEmpty(vertex.inputs.map(id)),
  }));
  const last = edge ? [{ id: `step${vertices.length}`, op: { Op: {} }, inputs: [id(edge)] }] : [];
  return {
    llbDefinition: [...steps, ...last],
    locations: Object.fromEntries(
      vertices.map(({ metadata }, index) => [`step${index}`, locationsJson(metadata.locations)]),
    ),
  };
}

function locationsJson(ranges: readonly SourceRange[]): object {
  if (ranges.length === 0) return {};
  const line = (at: number) => ({ line: at });
  return {
    locations: [
      {
        ranges: ranges.map(({ start, end }) => ({ start: line(start.line), end: line(end.line) })),
      },
    ],
  };
}

function opJson({ op }: LlbVertex): object {
  const { platform } = op;
  // The inputs of an op are beside it, by the names of their steps.
  const message = { inputs: [], ...(platform && { platform }), constraints: {}, op: published(op) };
  const { Op, ...more } = OP.json(message);
  return { Op, ...more };
}

/** `op` without what must not be published. */
function published(op: LlbOp): LlbOp {
  if (op.kind === 'source')
    return { kind: 'source', source: { ...op.source, attrs: publicAttrs(op.source.attrs) } };
  if (op.kind === 'exec') {
    // The addresses of proxies may contain passwords, and they are not part of a key.
    const { proxyEnv: _, ...meta } = op.exec.meta;
    return { kind: 'exec', exec: { ...op.exec, meta } };
  }
  if (op.kind === 'file')
    return { kind: 'file', file: { actions: op.file.actions.map(redactedAction) } };
  return op;
}

/** Attributes that describe this machine or one session are left out. */
function publicAttrs(attrs: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(attrs).filter(
      ([name, value]) =>
        !/session|uniqueid/.test(name) && !(name === 'local.sharedkeyhint' && value.includes('/')),
    ),
  );
}

/** A password in the text of a file would not be seen in base64, so it is taken out before. */
function redactedAction({ action, ...more }: FileAction): FileAction {
  if (action.kind !== 'mkfile') return { action, ...more };
  const { mkfile } = action;
  return {
    ...more,
    action: { kind: 'mkfile', mkfile: { ...mkfile, data: redactBytes(mkfile.data) } },
  };
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined;
}
