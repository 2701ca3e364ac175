/**
 * # The network of sandboxes
 *
 * A `Network` provides network namespaces. Each sandbox whose network is `default` leases one for
 * its run, and no other sandbox uses it at the same time. What the namespaces share (a firewall
 * table, an address range) is removed when the network is disposed, or by the watchdog.
 *
 *     nat     a veth pair into a namespace; the host forwards and translates addresses, as fast as
 *             the host's own network (nat.ts)
 *     slirp   a process that carries the namespace's connections through its own sockets; it needs
 *             no privilege on the host (slirp.ts)
 *     host    no namespace but the host's own network, where neither works and this is not refused
 *     none    a new namespace without a way out, where that is preferred to the host's network
 *
 * `openNetwork` (open-network.ts) takes the first of them that works here.
 */
export interface Network extends AsyncDisposable {
  readonly kind: NetworkKind;
  /**
   * A server that answers for the host's resolver where no other server can be reached. Absent when
   * there is none.
   */
  readonly resolver?: string | undefined;
  /** Leases a namespace that no other sandbox uses. Throws NetworkUnavailable. */
  lease(): Promise<NetworkLease>;
}

export type NetworkKind = 'nat' | 'slirp' | 'host' | 'none';

export interface NetworkLease {
  /**
   * A path that names the namespace for processes that may read this process's /proc. Undefined for
   * the host's own network, and for none.
   */
  readonly path: string | undefined;
  /**
   * Gives the namespace back. `tainted` means that the sandbox was allowed to change it, so it is
   * not reused.
   */
  release(tainted: boolean): void;
}

/** This kind of network cannot be used here. The message says why, as the rest of a sentence. */
export class NetworkUnavailable extends Error {}
