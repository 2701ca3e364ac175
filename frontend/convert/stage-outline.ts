import type { SourceRange } from '../../solver/llb/graph.ts';

export interface ArgInfo {
  readonly value: string;
  /** From `# NAME description` above the ARG. */
  readonly description: string;
  readonly range: SourceRange;
}

export interface MountInfo {
  readonly required: boolean;
  readonly range: SourceRange;
}

/** What one stage says of itself. */
export interface StageOutline {
  /** Declared in the stage, with a value that is not that of a global ARG. */
  readonly args: Map<string, ArgInfo>;
  /** Names that its FROM or an ARG of it mentions. */
  readonly used: Set<string>;
  readonly secrets: Map<string, MountInfo>;
  readonly ssh: Map<string, MountInfo>;
  readonly caches: Map<string, MountInfo>;
}

export function newStageOutline(): StageOutline {
  return {
    args: new Map(),
    used: new Set(),
    secrets: new Map(),
    ssh: new Map(),
    caches: new Map(),
  };
}

/** The first mount of an id is the one that is told. */
export function noteMount(
  known: Map<string, MountInfo>,
  id: string,
  required: boolean,
  range: SourceRange,
): void {
  if (!known.has(id)) known.set(id, { required, range });
}
