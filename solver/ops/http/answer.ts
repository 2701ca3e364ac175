import type { FetchedFile } from '../../../cache/fetched.ts';
import type { Snapshot } from '../../../snapshotter/snapshotter.ts';

/** A file as the server has it now, and the layer that holds it. */
export interface Answer {
  readonly file: Omit<FetchedFile, 'layers'>;
  readonly snapshot: Snapshot;
}
