import { errnoOf, KilnError, messageOf } from '../../base/errors.ts';
import type { FindProgram } from '../find-program.ts';
import type { WarnUser } from '../host-warnings.ts';
import { type Network, type NetworkKind, NetworkUnavailable } from './network.ts';
import type { Enter } from './tool.ts';

/** What `openNetwork` needs from its process. */
export interface NetworkOptions {
  /** Six characters that no other process of this host uses. */
  readonly mark: string;
  /** Called with the name of each firewall table that must be removed after this process. */
  readonly own: (table: string) => void;
  /** Shows warnings: that the host was changed, and which protection the next steps lack. */
  readonly warn: WarnUser;
  /** Returns the network of steps when none can be made. Called only then. Default: `host`. */
  readonly fallback?: (() => Promise<NetworkFallback>) | undefined;
  /** Gives a function that runs an action where every device of the host may be opened. */
  readonly outside?: (() => Promise<Enter>) | undefined;
  readonly findProgram: FindProgram;
  /** When given, only these kinds are tried, in this order. */
  readonly kinds?: readonly NetworkKind[] | undefined;
}

/**
 * `host`: the network of the host, as with BuildKit, so that a build can fetch what it needs in any
 * container. It is never used without a warning. `none`: no way out. `refuse`: steps that want a
 * network do not run.
 */
export type NetworkFallback = 'host' | 'none' | 'refuse';

const ORDER: readonly NetworkKind[] = ['nat', 'slirp', 'host'];

/**
 * The best network that this host allows. Where it allows none, `fallback` decides, and a warning
 * says why.
 */
export async function openNetwork(options: NetworkOptions, open = openKind): Promise<Network> {
  const reasons: string[] = [];
  for (const kind of options.kinds ?? ORDER) {
    if (kind === 'host' || kind === 'none') break;
    try {
      return await open(kind, options);
    } catch (error) {
      // A refused system call is a reason too. Any other error is a bug.
      if (!(error instanceof NetworkUnavailable) && errnoOf(error) === undefined) throw error;
      reasons.push(messageOf(error));
    }
  }
  return reasons.length === 0 ? without('host') : await fallBack(reasons.join('; '), options);
}

async function fallBack(reasons: string, { warn, fallback }: NetworkOptions): Promise<Network> {
  const wanted = (await fallback?.()) ?? 'host';
  if (wanted === 'refuse')
    throw new KilnError(
      'KILN_NETWORK',
      'steps cannot have a network of their own here, and kiln.toml refuses the ' +
        'network of the host: ' +
        `${reasons}`,
      {
        hint: "'kiln doctor' says how to fix it; --network=none runs steps without a network",
      },
    );
  const what =
    wanted === 'none'
      ? 'steps have no network'
      : "steps share the host's network, and can reach servers on its loopback addresses";
  warn(`${what}: ${reasons}; 'kiln doctor' says how to fix it`, 'steps');
  return without(wanted);
}

async function openKind(
  kind: 'nat' | 'slirp',
  { mark, own, warn, outside, findProgram }: NetworkOptions,
): Promise<Network> {
  if (kind === 'slirp') {
    const { openSlirp } = await import('./slirp.ts');
    return await openSlirp(outside ? await outside() : (action) => action(), findProgram);
  }
  const { openNat } = await import('./nat.ts');
  return await openNat({ mark, start: Number.parseInt(mark, 16), own, note: warn, findProgram });
}

function without(kind: 'host' | 'none'): Network {
  return {
    kind,
    lease: async () => ({ path: undefined, release: () => {} }),
    [Symbol.asyncDispose]: async () => {},
  };
}
