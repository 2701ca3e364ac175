import { randomBytes } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import type { AnsweredTarget } from '../../builder/answered-target.ts';
import type { LlbEdge } from '../../solver/llb/graph.ts';

/** A client that asks for more results than this in one build has gone wrong. */
const MAX_REFS = 10_000;

/** A result that a client holds by its id, before it is solved. */
export interface HeldRef {
  readonly edge: LlbEdge;
  /** What the frontend that made it says of it. */
  readonly target: AnsweredTarget | undefined;
}

/** The results of one build that its client may name. An empty result has no id. */
export class Refs {
  readonly #held = new Map<string, HeldRef>();

  add(ref: HeldRef): string {
    if (this.#held.size === MAX_REFS)
      throw new ConnectError('the build has too many results', Code.ResourceExhausted);
    const id = randomBytes(12).toString('hex');
    this.#held.set(id, ref);
    return id;
  }

  /** Undefined for the empty result. Throws a ConnectError for an id that is not of this build. */
  get(id: string): HeldRef | undefined {
    if (id === '') return undefined;
    const held = this.#held.get(id);
    if (!held) throw new ConnectError(`there is no result ${JSON.stringify(id)}`, Code.NotFound);
    return held;
  }
}
