import type { Digest } from '../../base/digest.ts';
import { formatPlatformInFull, type Platform } from '../../base/platform.ts';
import type { CacheStore } from '../../cache/cache.ts';
import type { RemoteStack } from '../../cache/remote/imported.ts';
import type { Candidate, StepOutput } from '../../exporter/cache/collect.ts';
import type { TargetResult } from '../../frontend/frontend.ts';
import type { LlbVertex } from '../../solver/llb/graph.ts';
import { topological } from '../../solver/llb/walk.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { KeyedVertex } from '../../solver/solver.ts';

/** The result of a target: on this host, or layers of an imported cache that stay remote. */
export interface SolvedTarget {
  readonly result?: BuildResult;
  readonly elsewhere?: RemoteStack;
}

/** What the export of a cache needs to know about one target of the build. */
export interface CachedTarget {
  readonly platform: Platform;
  /** The layers of the result. Undefined when the build failed before it had one. */
  readonly output: StepOutput | undefined;
  /** Digests of the vertices from the last step down along the first inputs. */
  readonly spine: readonly Digest[];
  /** Digests of all steps of the target. Sources are not steps. */
  readonly vertices: ReadonlySet<Digest>;
}

/** The steps of a build that have a key, and the cache that their records are in. */
export interface KeyedSteps {
  readonly keyed: readonly KeyedVertex<BuildResult>[];
  /** The cache of the store, followed by the imported caches. */
  readonly cache: CacheStore;
}

/**
 * Describes a target for the export of a cache. Returns an empty list for an empty image. Sources
 * are left out, because they can be fetched again from their origin.
 */
export function cachedTarget(
  { platform, edge }: TargetResult,
  solved: SolvedTarget | undefined,
): CachedTarget[] {
  if (!edge) return [];
  const steps = topological(edge).filter(({ op }) => op.kind !== 'source');
  const spine: Digest[] = [];
  for (let at: LlbVertex | undefined = edge.vertex; at; at = at.inputs[0]?.vertex)
    spine.push(at.digest);
  const output =
    solved?.elsewhere ?? (solved?.result?.kind === 'snapshot' ? solved.result.snapshot : undefined);
  return [{ platform, output, spine, vertices: new Set(steps.map(({ digest }) => digest)) }];
}

/** The steps that have a key and belong to one of `targets`, each with its platforms. */
export function candidatesOf({ keyed }: KeyedSteps, targets: readonly CachedTarget[]): Candidate[] {
  const candidates = new Map<Digest, Candidate>();
  for (const { vertex, key, aliases } of keyed) {
    const platforms = targets
      .filter(({ vertices }) => vertices.has(vertex.digest))
      .map(({ platform }) => formatPlatformInFull(platform));
    if (platforms.length === 0) continue;
    const known = candidates.get(key);
    candidates.set(key, {
      key,
      aliases: [...new Set([...(known?.aliases ?? []), ...aliases])],
      platforms: [...new Set([...(known?.platforms ?? []), ...platforms])],
    });
  }
  return [...candidates.values()];
}
