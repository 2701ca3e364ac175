import type { Digest } from '../../base/digest.ts';
import type { BuildExtras } from '../../builder/build.ts';

/**
 * The frontend attribute by which a client asks what the vertices of its graph have read, and the
 * name of the answer among what the exporters tell. BuildKit knows neither: it does not answer.
 */
export const READ_CONTENTS = 'kiln.read-contents';

/** By the digest of a vertex: the digest of what it read of each input, `null` where not known. */
export type ReadContents = Readonly<Record<Digest, readonly (Digest | null)[]>>;

/** Collects what vertices read by content, while a graph is solved. */
export class ContentsTold {
  readonly #told = new Map<Digest, readonly (Digest | null)[]>();

  readonly onKeyed: NonNullable<BuildExtras['onKeyed']> = (keyed) => {
    for (const { vertex, contents } of keyed)
      if (contents.size > 0)
        this.#told.set(
          vertex.digest,
          vertex.inputs.map((_, input) => contents.get(input) ?? null),
        );
  };

  get answer(): Readonly<Record<string, string>> {
    const contents: ReadContents = Object.fromEntries(this.#told);
    return { [READ_CONTENTS]: JSON.stringify(contents) };
  }
}
