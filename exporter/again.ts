import { KilnError } from '../base/errors.ts';

/** What the second attempt says when the blob that the first removed cannot be had again: the first said more. */
const GONE: ReadonlySet<string> = new Set(['KILN_BLOB_MISSING', 'KILN_STORE_DAMAGED']);
/** Each attempt removes one damaged blob; a disk on which this many are damaged is past help. */
const ATTEMPTS = 16;

/**
 * Runs `work`, through which blobs leave the store. One that turns out to be damaged is removed (ContentStore.open), so `work` is done again from its
 * beginning: the packer makes a blob anew where the files of the layer still give it. Where they do not, the error is the first one. Not for
 * work whose bytes have gone out already and cannot be taken back.
 */
export async function withSoundBlobs<T>(work: () => Promise<T>): Promise<T> {
  let damage: KilnError | undefined;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      if (damage && GONE.has(error.code)) throw damage;
      if (error.code !== 'KILN_BLOB_CORRUPT' || error.message === damage?.message || attempt === ATTEMPTS) throw error;
      damage = error;
    }
  }
}
