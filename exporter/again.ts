import { KilnError } from '../base/errors.ts';

/**
 * Codes of a second attempt that could not fetch the blob removed by the first attempt. Then the
 * error of the first attempt is reported, because it says more.
 */
const SECOND_FAILURES: ReadonlySet<string> = new Set(['KILN_BLOB_MISSING', 'KILN_STORE_DAMAGED']);
/**
 * Each attempt removes one damaged blob. A disk with more damaged blobs than this is beyond repair.
 */
const ATTEMPTS = 16;

/**
 * Runs `work`, which reads blobs of the store. A blob that turns out to be damaged is removed
 * (ContentStore.open), and `work` runs again from its beginning: the packer makes the blob again if
 * the files of the layer still match it. If they do not, the first error is thrown. Not for work
 * that has already sent bytes that cannot be taken back.
 */
export async function withSoundBlobs<T>(work: () => Promise<T>): Promise<T> {
  let damage: KilnError | undefined;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      if (damage && SECOND_FAILURES.has(error.code)) throw damage;
      if (
        error.code !== 'KILN_BLOB_CORRUPT' ||
        error.message === damage?.message ||
        attempt === ATTEMPTS
      )
        throw error;
      damage = error;
    }
  }
}
