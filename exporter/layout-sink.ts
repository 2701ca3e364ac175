import type { Descriptor } from '../base/oci.ts';

/** A store of somebody else that takes the blobs of a layout, and makes its index itself. */
export interface LayoutSink {
  /**
   * Writes a blob, whose bytes it verifies. `open` is called only when the store lacks the blob, so
   * that nothing of what is there has to be read or downloaded.
   */
  write(
    blob: Pick<Descriptor, 'digest' | 'size'>,
    open: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void>;
}
