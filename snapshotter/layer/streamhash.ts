import type { Digest } from '../../base/digest.ts';

/** The sha256 of a stream that comes in pieces. */
export interface StreamHash extends Disposable {
  /**
   * Resolves when the piece is done with, which must stay as it is until then; undefined when it is
   * already. One call at a time.
   */
  update(piece: Buffer): Promise<void> | undefined;
  digest(): Digest;
}
