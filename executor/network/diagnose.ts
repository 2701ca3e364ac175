import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import type { FindProgram } from '../find-program.ts';
import { forwardObstacle } from './firewall.ts';
import { legacyRules, natTool } from './nat.ts';
import type { NetworkKind } from './network.ts';
import { slirpTool } from './slirp.ts';

/**
 * Says which network steps will get here, and why they get no better one. It changes nothing. What
 * only the set-up can find out is reported when the set-up fails.
 */
export interface NetworkDiagnosis {
  readonly kind: NetworkKind;
  /** Why better kinds cannot be used, each as the rest of a sentence. */
  readonly reasons: readonly string[];
  /** Debian packages that are missing. */
  readonly packages: readonly string[];
}

/** The facts about a host. Tests replace them. */
export interface NetworkHost {
  /** True for root of the machine. */
  readonly root: boolean;
  find(program: string): string | undefined;
  read(path: string): string | undefined;
  isWritable(path: string): boolean;
  /** Why the rules of iptables-legacy would block forwarding, or undefined. */
  legacy(): string | undefined;
  /** The output of `nft list chains`, or undefined when it fails. */
  chains(nft: string): string | undefined;
}

export function diagnoseNetwork(host: NetworkHost): NetworkDiagnosis {
  const nat = natObstacle(host);
  if (nat === undefined) return { kind: 'nat', reasons: [], packages: [] };
  const slirp = slirpObstacle(host);
  const packages = [...(host.root && host.find('nft') === undefined ? ['nftables'] : [])];
  if (slirp === undefined) return { kind: 'slirp', reasons: [nat], packages };
  const missing = host.find('slirp4netns') === undefined ? ['slirp4netns'] : [];
  return { kind: 'host', reasons: [nat, slirp], packages: [...packages, ...missing] };
}

const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

function natObstacle({
  root,
  find,
  read,
  isWritable,
  legacy,
  chains,
}: NetworkHost): string | undefined {
  if (!root) return 'an ordinary user may not change the network of the host';
  const tool = natTool(find);
  if (typeof tool === 'string') return tool;
  if (read(FORWARDING)?.trim() !== '1' && !isWritable(FORWARDING))
    return 'IP forwarding is off and cannot be turned on';
  const rules = chains(tool.nft);
  if (rules === undefined)
    return 'nft does not work here (no nftables in the kernel, or no CAP_NET_ADMIN)';
  return forwardObstacle(rules) ?? legacy();
}

function slirpObstacle({ find, isWritable }: NetworkHost): string | undefined {
  const tool = slirpTool(find);
  if (typeof tool === 'string') return tool;
  return isWritable('/dev/net/tun')
    ? undefined
    : '/dev/net/tun cannot be opened, which slirp4netns needs';
}

/** This host as the user `uid` sees it. */
export function thisNetworkHost(uid: number, find: FindProgram): NetworkHost {
  return {
    root: uid === 0,
    find,
    read(path) {
      try {
        return readFileSync(path, 'latin1');
      } catch {
        return undefined;
      }
    },
    isWritable(path) {
      try {
        accessSync(path, constants.W_OK);
        return true;
      } catch {
        return false;
      }
    },
    legacy: () => legacyRules(find),
    chains(nft) {
      const { status, stdout } = spawnSync(nft, ['list', 'chains'], { encoding: 'utf8' });
      return status === 0 ? stdout : undefined;
    },
  };
}
