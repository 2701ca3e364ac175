import type { Digest } from '../../base/digest.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import type { CacheStore } from '../../cache/cache.ts';
import type { RemoteStack } from '../../cache/remote/imported.ts';
import type { Candidate, StepOutput } from '../../exporter/cache/collect.ts';
import type { TargetResult } from '../../frontend/frontend.ts';
import type { LlbVertex } from '../../solver/llb/graph.ts';
import { topological } from '../../solver/llb/walk.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { KeyedVertex } from '../../solver/solver.ts';

/**
 * What a target came to: a result here, or layers of an imported cache that stay where they are.
 */
export interface SolvedTarget {
  readonly result?: BuildResult;
  readonly elsewhere?: RemoteStack;
}

/** What one target of the build is, as far as caches care. */
export interface CachedTarget {
  readonly platform: Platform;
  /** What it came to: layers here or elsewhere; undefined when the build failed before. */
  readonly output: StepOutput | undefined;
  /** Digests of the vertices along the first inputs, top first. */
  readonly spine: readonly Digest[];
  /** Digests of all vertices that it is made of. */
  readonly vertices: ReadonlySet<Digest>;
}

/** The steps of a build as its caches see them. */
export interface KeyedSteps {
  readonly keyed: readonly KeyedVertex<BuildResult>[];
  /** The store's own records, and those of imported caches behind them. */
  readonly cache: CacheStore;
}

/**
 * A target as caches see it; none for an empty image. Its steps are all vertices but the sources,
 * which are where they are.
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

/** The steps of the targets that have a key, each with the platforms it belongs to. */
export function candidatesOf({ keyed }: KeyedSteps, targets: readonly CachedTarget[]): Candidate[] {
  const candidates = new Map<Digest, Candidate>();
  for (const { vertex, key, aliases } of keyed) {
    const platforms = targets
      .filter(({ vertices }) => vertices.has(vertex.digest))
      .map(({ platform }) => formatPlatform(platform));
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
