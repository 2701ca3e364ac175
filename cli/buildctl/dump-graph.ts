import { type Digest, digestOf } from '../../base/digest.ts';
import { attempt, reading } from '../../base/oserror.ts';
import { readNamedFile } from '../../base/regular-file.ts';
import { DEFINITION } from '../../solver/llb/definition-message.ts';
import { type LlbOp, OP } from '../../solver/llb/ops.ts';
import { requireWholeOutput, stdout } from '../output.ts';
import { readGraph } from './read-graph.ts';

export interface DumpGraphFlags {
  readonly dot?: boolean;
}

interface Vertex {
  readonly digest: Digest;
  readonly message: ReturnType<typeof OP.read>;
  readonly metadata: unknown;
}

/**
 * `buildctl debug dump-llb [FILE]`: prints a graph from a file or from standard input: an op in
 * each line as JSON, or all of it in the language of Graphviz. Needs no server. Throws
 * KILN_LLB_MALFORMED.
 */
export async function dumpGraph(
  file: string | undefined,
  { dot = false }: DumpGraphFlags,
): Promise<number> {
  const bytes =
    file === undefined || file === '-'
      ? await readGraph(new AbortController().signal)
      : attempt(reading('the graph', file), () => readNamedFile(file));
  const definition = DEFINITION.read(bytes);
  const metadata = (DEFINITION.json(definition)['metadata'] ?? {}) as Record<string, unknown>;
  const vertices = definition.def.map((op): Vertex => {
    const digest = digestOf(op);
    return { digest, message: OP.read(op), metadata: metadata[digest] ?? {} };
  });
  stdout.write(dot ? graphviz(vertices) : vertices.map(line).join(''));
  requireWholeOutput();
  return 0;
}

function line({ digest, message, metadata }: Vertex): string {
  return `${JSON.stringify({ Op: OP.json(message), Digest: digest, OpMetadata: metadata })}\n`;
}

const SHAPES: Readonly<Record<LlbOp['kind'], string>> = {
  source: 'ellipse',
  exec: 'box',
  build: 'box3d',
  merge: 'invtriangle',
  diff: 'doublecircle',
  file: 'note',
};

function graphviz(vertices: readonly Vertex[]): string {
  const nodes = vertices.map(({ digest, message: { op } }) => {
    const [label, shape] = op ? [labelOf(op), SHAPES[op.kind]] : [digest, 'plaintext'];
    return `  "${digest}" [label=${JSON.stringify(label)} shape="${shape}"];\n`;
  });
  const edges = vertices.flatMap(({ digest, message: { op, inputs } }) =>
    inputs.map((input, at) => {
      const mounts = op?.kind === 'exec' ? op.exec.mounts : [];
      const mount = mounts.findLast(({ input, dest }) => input === at && dest !== '/');
      return `  "${input.digest}" -> "${digest}" [label=${JSON.stringify(mount?.dest ?? '')}];\n`;
    }),
  );
  return `digraph {\n${[...nodes, ...edges].join('')}}\n`;
}

function labelOf(op: LlbOp): string {
  switch (op.kind) {
    case 'source':
      return op.source.identifier;
    case 'exec':
      return op.exec.meta.args.join(' ');
    case 'file':
      return op.file.actions.map(({ action }) => actionLabel(action)).join(',');
    default:
      return op.kind;
  }
}

function actionLabel(
  action: Extract<LlbOp, { kind: 'file' }>['file']['actions'][number]['action'],
): string {
  switch (action.kind) {
    case 'copy':
      return `copy{src=${action.copy.src}, dest=${action.copy.dest}}`;
    case 'mkfile':
      return `mkfile{path=${action.mkfile.path}}`;
    case 'mkdir':
      return `mkdir{path=${action.mkdir.path}}`;
    case 'rm':
      return `rm{path=${action.rm.path}}`;
    case 'symlink':
      return `symlink{newpath=${action.symlink.newpath}}`;
  }
}
