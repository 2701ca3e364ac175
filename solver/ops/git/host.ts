/** What git sources use of this machine. */
export interface GitHost {
  /** Where the shared repositories are kept; made when first needed. */
  readonly directory: string;
  /** What git itself is given of the caller's environment: PATH, proxies, CA files. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * Files of known hosts; ones that do not exist do no harm. A new host's key is added to the
   * first.
   */
  readonly knownHosts: readonly string[];
}

/** An ssh agent that a caller lends to git. */
export interface SshAgent extends AsyncDisposable {
  /** The path of its socket, for this process's user. */
  readonly socket: string;
}
