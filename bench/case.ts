import type { Engine, Run } from './engines.ts';

/** One row of the table: prepares a context once for each engine, then is timed several times. */
export interface Case {
  readonly name: string;
  readonly title: string;
  /** Images (by their test image name) that must be in each engine's store. */
  readonly images: readonly string[];
  /** What this machine must offer, or a sentence saying what is missing. */
  readonly unavailable?: (context: CaseContext) => string | undefined;
  /** Fills the context directory. */
  readonly prepare: (context: CaseContext) => void;
  /** Before each timed run: makes what must be cold cold. `run` counts from 0. */
  readonly before?: (context: CaseContext, engine: Engine, run: number) => Promise<void>;
  /** Undefined where only the floor is of interest. */
  readonly run: ((context: CaseContext, engine: Engine, run: number) => Promise<Run>) | undefined;
  /** When all runs are done, or one has failed: ends what `before` made. */
  readonly after?: (context: CaseContext) => Promise<void>;
  /**
   * The same work by the plainest tool there is, on the same disk: what no engine can beat.
   * Measured in the same session.
   */
  readonly floor?: (context: CaseContext) => Promise<Run>;
  /** To reach, when a target is set: seconds, or a multiple of the floor. Shown in the table. */
  readonly target?: number | { readonly floors: number };
  /** Why an engine has nothing like it. */
  readonly without?: Readonly<Record<string, string>>;
  /**
   * Time that is no engine's doing (the step's own work), taken off before comparing with the
   * target.
   */
  readonly beyond?: string;
}

export interface CaseContext {
  /** A directory of its own for this case and engine. */
  readonly directory: string;
  /** Unlike any other in this session: what makes a step new. */
  readonly nonce: (run: number) => string;
  /** Kiln's store, on whose file system a floor does its work. */
  readonly store: string;
  /** `host:port` of a registry on loopback that serves the test images, when one runs. */
  readonly registry: string | undefined;
}
