import type { Digest } from '../../base/digest.ts';

/** The sha256 of a stream that comes in pieces. */
export interface StreamHash extends Disposable {
  /**
   * Hashes a piece. Resolves when the piece may be changed again, or returns undefined when it may
   * be at once. Only one call may run at a time.
   */
  update(piece: Buffer): Promise<void> | undefined;
  digest(): Digest;
}
