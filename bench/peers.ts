import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { buildkit } from './buildkit.ts';
import { buildah, docker, type Engine } from './engines.ts';

/** A way to call an engine. */
interface Kind {
  /** The program that is looked for on PATH. */
  readonly program: string;
  /** Arguments of a call that fails without a daemon, and prints the version. */
  readonly probe: readonly string[];
  readonly engine: (prefix: readonly string[]) => Engine;
}

const KINDS = {
  buildkit: { program: 'buildctl', probe: ['debug', 'info'], engine: buildkit },
  docker: {
    program: 'docker',
    probe: ['version', '--format', '{{.Server.Version}}'],
    engine: docker,
  },
  buildah: { program: 'buildah', probe: ['--version'], engine: buildah },
} satisfies Record<string, Kind>;

export type PeerName = keyof typeof KINDS;

export interface Peer {
  readonly engine: Engine;
  /** The command that runs it, before its arguments. */
  readonly prefix: readonly string[];
  /** Such as `28.5.2`. */
  readonly version: string;
}

/**
 * Finds BuildKit, Docker and buildah on PATH. `given` are texts `NAME=PREFIX` in place of that, and
 * those in `without` are left out.
 */
export function findPeers(
  given: readonly string[],
  without: readonly string[],
): ReadonlyMap<PeerName, Peer> {
  const prefixes = new Map(
    given.map((text) => [
      text.slice(0, text.indexOf('=')),
      text
        .slice(text.indexOf('=') + 1)
        .split(/\s+/)
        .filter(Boolean),
    ]),
  );
  const names = Object.keys(KINDS) as PeerName[];
  for (const name of prefixes.keys())
    if (!names.includes(name as PeerName))
      throw new Error(`--peer ${name}: use ${names.join(', ')}`);
  const peers = new Map<PeerName, Peer>();
  for (const name of names) {
    const { program, probe, engine } = KINDS[name];
    const [command = program, ...rest] = prefixes.get(name) ?? [program];
    // Commands are run in other directories.
    const prefix = [command.includes('/') ? resolve(command) : command, ...rest];
    if (without.includes(name)) continue;
    const { status, stdout } = spawnSync(prefix[0]!, [...prefix.slice(1), ...probe], {
      encoding: 'utf8',
    });
    const version = /\d+(?:\.\d+)+/.exec(stdout ?? '')?.[0] ?? 'of an unknown version';
    if (status === 0) peers.set(name, { engine: engine(prefix), prefix, version });
    else if (prefixes.has(name)) throw new Error(`--peer ${name}: ${prefix.join(' ')} fails`);
  }
  return peers;
}
