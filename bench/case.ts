import type { Engine, Run } from './engines.ts';

/** One row of the table: prepares a context once for each engine, then is timed several times. */
export interface Case {
  readonly name: string;
  readonly title: string;
  /** Images (by their test image name) that must be in each engine's store. */
  readonly images: readonly string[];
  /** Returns a sentence about what this machine lacks for the case, or undefined. */
  readonly unavailable?: (context: CaseContext) => string | undefined;
  /** Fills the context directory. */
  readonly prepare: (context: CaseContext) => void;
  /** Prepares a timed run, such as by removing caches. `run` counts from 0. */
  readonly before?: (context: CaseContext, engine: Engine, run: number) => Promise<void>;
  /** The timed run. Undefined when only the floor is measured. */
  readonly run: ((context: CaseContext, engine: Engine, run: number) => Promise<Run>) | undefined;
  /** Removes what `before` made, after all runs or after a run that failed. */
  readonly after?: (context: CaseContext) => Promise<void>;
  /** The same work by the simplest tool, on the same disk. No engine can be faster. */
  readonly floor?: (context: CaseContext) => Promise<Run>;
  /** The target in seconds, or as a multiple of the floor. It is shown in the table. */
  readonly target?: number | { readonly floors: number };
  /** For each engine that cannot run the case: the reason. */
  readonly without?: Readonly<Record<string, string>>;
}

/** What a case gets for one engine. */
export interface CaseContext {
  /** A separate directory for this case and engine. */
  readonly directory: string;
  /** Returns a text that is unique in this session. With it in its text, a step is not cached. */
  readonly nonce: (run: number) => string;
  /** Kiln's store. Floors work on its file system. */
  readonly store: string;
  /** `host:port` of a registry on loopback that serves the test images, when one runs. */
  readonly registry: string | undefined;
}
