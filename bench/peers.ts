import { spawnSync } from 'node:child_process';
import { buildah, docker, type Engine } from './engines.ts';

export interface Peers {
  readonly engines: readonly Engine[];
  /** The command prefix of Docker. Undefined when there is none. */
  readonly dockerPrefix: readonly string[] | undefined;
}

/**
 * Finds Docker and buildah on PATH. `given` are texts `NAME=PREFIX` in place of that, and those in
 * `without` are left out.
 */
export function findPeers(given: readonly string[], without: readonly string[]): Peers {
  const prefixes = new Map(
    given.map((text) => [
      text.slice(0, text.indexOf('=')),
      text
        .slice(text.indexOf('=') + 1)
        .split(/\s+/)
        .filter(Boolean),
    ]),
  );
  for (const name of prefixes.keys())
    if (!['docker', 'buildah'].includes(name))
      throw new Error(`--peer ${name}: use docker or buildah`);
  const found = (name: string, probe: string): readonly string[] | undefined => {
    if (without.includes(name)) return undefined;
    const prefix = prefixes.get(name) ?? [name];
    return spawnSync(prefix[0]!, [...prefix.slice(1), probe], { stdio: 'ignore' }).status === 0
      ? prefix
      : undefined;
  };
  const dockerPrefix = found('docker', 'version');
  const buildahPrefix = found('buildah', '--version');
  return {
    engines: [
      ...(dockerPrefix ? [docker(dockerPrefix)] : []),
      ...(buildahPrefix ? [buildah(buildahPrefix)] : []),
    ],
    dockerPrefix,
  };
}
