import type { ReadContents } from '../../api/control/read-contents.ts';
import { type Digest, digestOfParts } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { downloaded } from '../../solver/deferred.ts';
import type { LlbVertex } from '../../solver/llb/graph.ts';
import { localName } from '../../solver/llb/sources.ts';
import type { BuildResult } from '../../solver/result.ts';
import type { AskedElsewhere, Vertex } from '../../solver/solver.ts';
import type { CutGraph } from './cut.ts';

/** The vertices of the solver, and what it knows of them. */
export interface SolverSide extends Pick<AskedElsewhere<BuildResult>, 'known' | 'contents'> {
  readonly vertexOf: (vertex: LlbVertex) => Vertex<BuildResult> | undefined;
}

interface Read {
  readonly vertex: Vertex<BuildResult>;
  readonly input: number;
  readonly digest: Digest;
  /** A directory of the caller, whose files may change at any time. */
  readonly isLocal: boolean;
}

/**
 * # The files that a worker reads are those of the keys
 *
 * A result is saved under a key that has digests of the files which copies read. A worker gets the
 * files later, and by size and time keeps those that it has. So what it has read is compared with
 * what the keys say: no file that changes meanwhile, and none that an edit has left with its size
 * and time, leads to a result under a wrong key.
 */
export class ReadFiles {
  /** By the digest of the vertex in the graph that is sent. */
  readonly #reads = new Map<Digest, readonly Read[]>();

  constructor({ origins }: Pick<CutGraph, 'origins'>, side: SolverSide) {
    for (const [sent, origin] of origins) {
      const vertex = side.vertexOf(origin);
      if (!vertex) continue;
      const reads = [...side.contents(vertex)].map(([input, digest]): Read => {
        const isLocal = localName(origin.inputs[input]!.vertex.op) !== undefined;
        return { vertex, input, digest, isLocal };
      });
      if (reads.length > 0) this.#reads.set(sent, reads);
    }
  }

  /** A name for exactly these files of directories. Empty when none is read. */
  get name(): string {
    const locals = [...this.#reads.values()].flat().filter(({ isLocal }) => isLocal);
    return locals.length === 0 ? '' : digestOfParts(locals.map(({ digest }) => digest));
  }

  /**
   * Whether a worker that has told what it read has read the same. One that told nothing of a
   * directory has not.
   */
  areThoseOf(told: ReadContents): boolean {
    return this.#reads.entries().every(([sent, reads]) =>
      reads.every(({ input, digest, isLocal }) => {
        const there = told[sent]?.[input] ?? undefined;
        return there === undefined ? !isLocal : there === digest;
      }),
    );
  }

  /** Whether the directories here still have the files. For workers that do not tell. */
  async areStillHere(
    { known }: Pick<SolverSide, 'known'>,
    context: Parameters<typeof downloaded>[1],
  ): Promise<boolean> {
    for (const { vertex, input, digest, isLocal } of [...this.#reads.values()].flat()) {
      if (!isLocal) continue;
      const held = known(vertex.inputs[input]!);
      const read = (await vertex.op.cacheMap(context.signal)).inputs[input];
      if (!held || read?.by !== 'content') return false;
      const now = await read.digest(await downloaded(held, context), context.signal);
      if (now.digest !== digest) return false;
    }
    return true;
  }
}

/** Files of the context changed while a worker had them. */
export function filesChanged(): KilnError {
  return new KilnError('KILN_CONTEXT_CHANGED', 'the build context changed while it was being sent');
}

/** What a worker has told. Undefined for one that tells nothing. */
export function parseContents(text: string | undefined): ReadContents | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as ReadContents;
  } catch {
    // Told below.
  }
  throw new KilnError('KILN_SERVER_FAILED', 'the answer of the worker has no list of what it read');
}
