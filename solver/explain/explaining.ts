import type { SolverOptions } from '../solver.ts';
import { type Identity, identityOf, type Node } from '../state.ts';
import { missReason } from './reason.ts';

/** Says why a vertex runs, when it starts to, and keeps what it read once it has. */
export type Explaining<R> = (node: Node<R>, identity: Identity) => { readonly ran: () => void };

const NOTHING = { ran: () => {} };

/** Costs two look-ups for each vertex that runs, and reads earlier records only where no input explains it. */
export function createExplaining<R>({ memory, progress }: Pick<SolverOptions<R>, 'memory' | 'progress'>): Explaining<R> {
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
    // A local directory is no step: it is read anew by every build.
    if (identity.key) {
      const inputs = node.inputs.map((input, at) => ({
        name: input.vertex.name,
        ran: input.state.kind === 'done' && input.state.how !== 'cached' && identityOf(input.state)?.key !== undefined,
        byContent: indexes?.has(at) === true,
      }));
      const { name, ignoreCache } = vertex;
      const reason = missReason({ name, key: identity.key, parts: identity.parts, ignoreCache, inputs, index }, memory);
      progress({ kind: 'miss', vertex: vertex.digest, name, reason });
    }
    return {
      ran() {
        if (!identity.key) return;
        for (const input of indexes?.keys() ?? []) {
          const content = index(input);
          if (content) memory.keepIndex(identity.key, input, content);
        }
      },
    };
  };
}
