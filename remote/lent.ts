import type { LentOutput } from './lend/lent-outputs.ts';
import type { LentStore } from './lend/lent-stores.ts';

/** What is lent to a server by name, while it is found out. */
export interface Lent {
  readonly outputs: Map<string, LentOutput>;
  readonly stores: Map<string, LentStore>;
  /** Called with what the exporters tell when the build has succeeded. */
  readonly finishing: ((response: Readonly<Record<string, string>>) => Promise<void>)[];
  /** Makes an empty directory that goes when the build is over. */
  readonly scratch: () => string;
}
