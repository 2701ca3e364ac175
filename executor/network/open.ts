import { errnoOf, messageOf } from '../../base/errors.ts';
import { type Network, type NetworkKind, NetworkUnavailable } from './network.ts';
import type { Enter } from './tool.ts';

/** What `openNetwork` needs of the process it works for. */
export interface NetworkOptions {
  /** Six characters that no other process of this host has. */
  readonly mark: string;
  /** Told of a firewall table that is to be removed after this process. */
  readonly own: (table: string) => void;
  /** Told, in a sentence, what the user should know: that steps share the host's network, or that the host was changed. */
  readonly warn: (sentence: string) => void;
  /** What runs an action where every device of the host may be opened. */
  readonly outside?: (() => Promise<Enter>) | undefined;
  /** Only these, in this order. */
  readonly kinds?: readonly NetworkKind[] | undefined;
}

const ORDER: readonly NetworkKind[] = ['nat', 'slirp', 'host'];

/** The best network that this host allows; the host's own, with a warning that says why, where none does. */
export async function openNetwork(options: NetworkOptions, open = openKind): Promise<Network> {
  const reasons: string[] = [];
  for (const kind of options.kinds ?? ORDER) {
    if (kind === 'host') break;
    try {
      return await open(kind, options);
    } catch (error) {
      // What a system call refuses is a reason as well; anything else is a bug.
      if (!(error instanceof NetworkUnavailable) && errnoOf(error) === undefined) throw error;
      reasons.push(messageOf(error));
    }
  }
  if (reasons.length > 0)
    options.warn(
      `steps share the network of this host, and reach what listens on its loopback addresses: ${reasons.join('; ')}; 'kiln doctor' says how to mend it`,
    );
  return hostNetwork();
}

async function openKind(kind: 'nat' | 'slirp', { mark, own, warn, outside }: NetworkOptions): Promise<Network> {
  if (kind === 'slirp') return await (await import('./slirp.ts')).openSlirp(outside ? await outside() : (action) => action());
  const { openNat } = await import('./nat.ts');
  return await openNat({ mark, start: Number.parseInt(mark, 16), own, note: warn });
}

function hostNetwork(): Network {
  return {
    kind: 'host',
    lease: async () => ({ path: undefined, release: () => {} }),
    [Symbol.asyncDispose]: async () => {},
  };
}
