/** A mistake that users make, and what Kiln says to it. */
export interface Mistake {
  readonly what: string;
  /** The Dockerfile. Undefined for none; when absent, `FROM busybox`. */
  readonly dockerfile?: string | undefined;
  /** Other files beside it. */
  readonly files?: Readonly<Record<string, string>>;
  /** The command. When absent, `build .`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The exit code. When absent, 1. With 0, `says` is a warning. */
  readonly exit?: number;
  /** The line above the sentence: a line of the Dockerfile, a flag or a path. */
  readonly place?: string;
  /** Absent for a warning, and where it depends on the network. */
  readonly code?: string;
  /** The sentence, or its end. `$DIR` is the working directory, `$DIGEST` any digest. */
  readonly says: string;
  /** The next step. */
  readonly next?: string;
}
