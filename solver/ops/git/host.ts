/** What git sources use of this host. */
export interface GitHost {
  /** The directory of the mirrors (mirror.ts). It is made when it is first needed. */
  readonly directory: string;
  /** The variables that git gets: PATH, proxies, CA files. */
  readonly env: Readonly<Record<string, string>>;
  /** known_hosts files, which need not exist. The key of a new host is added to the first. */
  readonly knownHosts: readonly string[];
}

/** An ssh agent that a caller lends to git. */
export interface SshAgent extends AsyncDisposable {
  /** The path of its socket, which the user of this process can connect to. */
  readonly socket: string;
}
