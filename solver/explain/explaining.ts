import type { KeyPart } from '../../cache/cache.ts';
import type { SolverOptions } from '../solver.ts';
import { type Identity, identityOf, type Node } from '../state.ts';
import { missReason } from './reason.ts';

/** The explanation of one vertex that starts to run. */
export interface Explained {
  /**
   * Reports why the vertex runs, once. Call it before the record of the vertex is saved: the new
   * record would look like the reason.
   */
  report(): void;
  /** Remembers the content indexes of the inputs, to explain a later miss. */
  rememberContent(): void;
}

export type Explaining<R> = (node: Node<R>, identity: Identity) => Explained;

const NOTHING: Explained = { report: () => {}, rememberContent: () => {} };

/** So many parts of a key, and characters of each, are told with a miss. */
const MOST_PARTS = 200;
const LONGEST_PART = 4000;

function shortened({ name, value }: KeyPart): KeyPart {
  return value.length > LONGEST_PART
    ? { name, value: `${value.slice(0, LONGEST_PART)}…` }
    : { name, value };
}

/**
 * Makes the function that explains why a vertex runs. It costs two look-ups for each vertex.
 * Earlier records are read only when no input explains the miss.
 */
export function createExplaining<R>({
  memory,
  progress,
}: Pick<SolverOptions<R>, 'memory' | 'progress'>): Explaining<R> {
  if (!memory) return () => NOTHING;
  return (node, identity) => {
    const { vertex } = node;
    const { indexes } = identity;
    const made = new Map<number, Buffer>();
    const index = (input: number): Buffer | undefined => {
      const known = made.get(input) ?? indexes?.get(input)?.();
      if (known) made.set(input, known);
      return known;
    };
    // A vertex without a key is a local directory. Every build reads it, so nothing is to be
    // explained.
    let reported = !identity.key;
    const report = () => {
      if (reported || !identity.key) return;
      const inputs = node.inputs.map((input, at) => ({
        name: input.vertex.name,
        ran:
          input.state.kind === 'done' &&
          input.state.how !== 'cached' &&
          identityOf(input.state)?.key !== undefined,
        byContent: indexes?.has(at) === true,
      }));
      const { name, ignoreCache } = vertex;
      const reason = missReason(
        { name, key: identity.key, parts: identity.parts, ignoreCache, inputs, index },
        memory,
      );
      reported = true;
      const parts = identity.parts.slice(0, MOST_PARTS).map(shortened);
      progress({ kind: 'miss', vertex: vertex.digest, name, reason, parts });
    };
    // The reason is computed while the op's processes and threads run, so that it does not delay
    // their start. An error is ignored here: `execute` calls `report` again after the run and meets
    // it there.
    setImmediate(() => {
      try {
        report();
      } catch {}
    });
    return {
      report,
      rememberContent() {
        if (!identity.key) return;
        for (const input of indexes?.keys() ?? []) {
          const content = index(input);
          if (content) memory.keepIndex(identity.key, input, content);
        }
      },
    };
  };
}
