import type { Entry } from './entry.ts';

/** What one source of a COPY, or one match of its wildcard, selects. */
export interface SelectedSource {
  /** Its path as written. Its last component is the name of the copy. */
  readonly path: string;
  /** Depth first, sorted by name within a directory. The source itself is the first entry. */
  readonly entries: readonly Entry[];
}
