/**
 * # The network of sandboxes
 *
 * A `Network` lends network namespaces. Each sandbox whose network is `default` leases one for the time of its run; two never hold the
 * same one. What is common to all of them (a firewall table, an address range) is the network's, and goes when it is disposed, or by the
 * watchdog.
 *
 *     nat     a veth pair into a namespace, the host forwards and translates addresses: as fast as the host's own (nat.ts)
 *     slirp   a process that speaks for the namespace through sockets of its own; needs no privilege on the host (slirp.ts)
 *     host    no namespace, the host's own network: where neither can be had, unless that is refused
 *     none    a new namespace without a way out, instead of that
 *
 * `openNetwork` (open.ts) takes the first of them that works here.
 */
export interface Network extends AsyncDisposable {
  readonly kind: NetworkKind;
  /** A server that answers for the host's resolver where no other can be reached; absent when there is none. */
  readonly resolver?: string | undefined;
  /** A namespace that no one else has. Throws NetworkUnavailable. */
  lease(): Promise<NetworkLease>;
}

export type NetworkKind = 'nat' | 'slirp' | 'host' | 'none';

export interface NetworkLease {
  /** A path that names the namespace for whoever may look into this process's /proc; undefined for the host's own, and for none. */
  readonly path: string | undefined;
  /** Gives it back. `tainted`: the sandbox was allowed to change it, so no one else gets it. */
  release(tainted: boolean): void;
}

/** This kind of network cannot be had here; the message says why, as the rest of a sentence. */
export class NetworkUnavailable extends Error {}
