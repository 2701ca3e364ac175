import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import { NET_MODE } from './llb/enums.ts';
import type { LlbEdge, LlbVertex } from './llb/graph.ts';
import { topological } from './llb/walk.ts';
import type { StepSession } from './step-session.ts';

/**
 * A source that a build used, for its provenance: an image, a repository, a file or a directory.
 */
export type Material =
  | {
      readonly kind: 'image' | 'layout';
      /** The full name, with tag, digest or both. */
      readonly name: string;
      readonly platform: Platform;
      readonly digest: Digest;
    }
  | {
      readonly kind: 'git';
      /** The URL for git, which has no login. */
      readonly remote: string;
      /** The same URL for people, with `xxxxx` in the place of a login that it had. */
      readonly told: string;
      readonly ref: string | undefined;
      readonly commit: string;
    }
  /** One blob of a repository, or of a layout. */
  | {
      readonly kind: 'blob';
      readonly from: 'registry' | 'layout';
      readonly name: string;
      readonly digest: Digest;
    }
  | { readonly kind: 'http'; readonly url: string; readonly digest: Digest }
  /** A directory of the caller. It has no digest: nobody else can get the same files again. */
  | { readonly kind: 'local'; readonly name: string };

/**
 * The sources of solved graphs, each once, in the order of their first use. Their commits and
 * digests are those that the steps of `session` saw. `own` is the platform of image sources that
 * name none.
 */
export async function materialsOf(
  edges: readonly (LlbEdge | undefined)[],
  own: Platform,
  session: StepSession,
): Promise<readonly Material[]> {
  const found = new Map<string, Material>();
  for (const vertex of edges.flatMap((edge) => (edge ? topological(edge) : []))) {
    const material = await materialOf(vertex, own, session);
    if (material) found.set(JSON.stringify(material), material);
  }
  return [...found.values()];
}

async function materialOf(
  { op }: LlbVertex,
  own: Platform,
  { found }: StepSession,
): Promise<Material | undefined> {
  if (op.kind !== 'source') return undefined;
  const [, scheme = '', rest = ''] = /^([a-z+-]+):\/\/(.*)$/s.exec(op.source.identifier) ?? [];
  switch (scheme) {
    case 'docker-image':
    case 'oci-layout': {
      const digest = /@(sha256:[0-9a-f]{64})$/.exec(rest)?.[1] as Digest | undefined;
      const kind = scheme === 'docker-image' ? 'image' : 'layout';
      return digest && { kind, name: rest, platform: op.platform ?? own, digest };
    }
    case 'docker-image+blob':
    case 'oci-layout+blob': {
      const { readGraphBlob } = await import('./ops/source-blob.ts');
      const { kind: from, place: name, digest } = readGraphBlob(op.source);
      return { kind: 'blob', from, name, digest };
    }
    case 'local':
      return { kind: 'local', name: rest };
    case 'git': {
      const { pinned, readGitSource } = await import('./ops/git/git-source.ts');
      const source = readGitSource(op.source);
      const { remote, told, ref, checksum } = source;
      const resolved = await found.refs.get(JSON.stringify([remote, ref, checksum]));
      const commit = resolved?.commit ?? pinned(source);
      return commit === undefined ? undefined : { kind: 'git', remote, told, ref, commit };
    }
    case 'http':
    case 'https': {
      const { readHttpSource, requestId } = await import('./ops/http/http-source.ts');
      const source = readHttpSource(op.source);
      const answer = await found.answers.get(requestId(source));
      const digest = source.checksum ?? answer?.file.digest;
      return digest && { kind: 'http', url: source.url.href, digest };
    }
    default:
      return undefined;
  }
}

/**
 * True when a step had network access, so that the build may have used more than the graph names.
 */
export function reachesNetwork(edge: LlbEdge | undefined): boolean {
  return (edge ? topological(edge) : []).some(
    ({ op }) => op.kind === 'exec' && op.exec.network !== NET_MODE.none,
  );
}
