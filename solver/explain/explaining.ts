import type { SolverOptions } from '../solver.ts';
import { type Identity, identityOf, type Node } from '../state.ts';
import { missReason } from './reason.ts';

/** The explanation of one vertex that starts to run. */
export interface Explained {
  /**
   * Says why it runs, unless that has been said. To be called before its record is saved: that
   * would explain it.
   */
  tell(): void;
  /** Keeps what it read. */
  keep(): void;
}

export type Explaining<R> = (node: Node<R>, identity: Identity) => Explained;

const NOTHING: Explained = { tell: () => {}, keep: () => {} };

/**
 * Costs two look-ups for each vertex that runs, and reads earlier records only where no input
 * explains it.
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
    let told = !identity.key; // A local directory is no step: it is read anew by every build.
    const tell = () => {
      if (told || !identity.key) return;
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
      told = true;
      progress({ kind: 'miss', vertex: vertex.digest, name, reason });
    };
    // Worked out while the op's processes and threads run, not before. What goes wrong does so
    // again when it has ended.
    setImmediate(() => {
      try {
        tell();
      } catch {}
    });
    return {
      tell,
      keep() {
        if (!identity.key) return;
        for (const input of indexes?.keys() ?? []) {
          const content = index(input);
          if (content) memory.keepIndex(identity.key, input, content);
        }
      },
    };
  };
}
