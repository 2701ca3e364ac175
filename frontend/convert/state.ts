import type { Platform } from '../../base/platform.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { NetMode } from '../../solver/llb/ops.ts';

/** What the steps of a stage hand from one to the next. Immutable: `with…` give a changed copy. */
export interface State {
  /** Undefined for the empty tree. */
  readonly tree: DraftEdge | undefined;
  /** ENV, and the ARGs that are declared; a variable that is set again moves to the end. */
  readonly env: ReadonlyMap<string, string>;
  readonly dir: string;
  readonly user: string;
  readonly network: NetMode;
  readonly hostname: string;
  /** The platform of what runs on this tree; that of the target when undefined. */
  readonly platform: Platform | undefined;
}

export function emptyState(tree: DraftEdge | undefined, platform?: Platform): State {
  return { tree, env: new Map(), dir: '/', user: '', network: 0, hostname: '', platform };
}

export function withEnv(state: State, entries: Iterable<readonly [string, string]>): State {
  const env = new Map(state.env);
  for (const [key, value] of entries) {
    env.delete(key);
    env.set(key, value);
  }
  return { ...state, env };
}
