import type { Digest } from '../base/digest.ts';
import type { GraphVertex, ProgressSink } from '../base/progress.ts';
import type { LlbEdge, LlbVertex } from '../solver/llb/graph.ts';
import { topological } from '../solver/llb/walk.ts';

/**
 * Returns a function that reports what graphs tell of their vertices, each vertex once: the lines
 * of the Dockerfile, sources, and the names of secrets and agents.
 */
export function graphRecorder(progress: ProgressSink): (edges: readonly LlbEdge[]) => void {
  const known = new Set<Digest>();
  return (edges) => {
    const fresh = edges.flatMap(topological).filter(({ digest }) => {
      if (known.has(digest)) return false;
      known.add(digest);
      return true;
    });
    if (fresh.length === 0) return;
    const texts = new Map<string, number>();
    const sources: { readonly name: string; readonly text: string }[] = [];
    const vertices = fresh.map((vertex): GraphVertex => {
      const { digest, metadata, op } = vertex;
      const [range] = metadata.locations;
      const own = {
        vertex: digest,
        ...(op.kind === 'source' && { source: op.source.identifier }),
      };
      if (!range) return own;
      let source = texts.get(range.source.name);
      if (source === undefined) {
        const { name, text } = range.source;
        source = sources.push({ name, text }) - 1;
        texts.set(name, source);
      }
      return { ...own, lines: [source, range.start.line, range.end.line] };
    });
    const secrets = namesOf(fresh, ({ exec }) => [
      ...exec.mounts.flatMap(({ secret }) => secret?.id ?? []),
      ...(exec.secretenv ?? []).map(({ id }) => id),
    ]);
    const ssh = namesOf(fresh, ({ exec }) =>
      exec.mounts.flatMap((mount) => (mount.ssh ? mount.ssh.id || 'default' : [])),
    );
    progress({ kind: 'graph', sources, vertices, secrets, ssh });
  };
}

type ExecKind = Extract<LlbVertex['op'], { kind: 'exec' }>;

function namesOf(
  vertices: readonly LlbVertex[],
  names: (op: ExecKind) => readonly string[],
): readonly string[] {
  return [...new Set(vertices.flatMap(({ op }) => (op.kind === 'exec' ? names(op) : [])))];
}
