import type { BuildOptions, Engine } from './engines.ts';
import { timed } from './timed.ts';

/**
 * A buildkitd. `prefix` is the command of buildctl with the address of that daemon. Builds make an
 * image only where it is asked for.
 */
export function buildkit(prefix: readonly string[]): Engine {
  const common = ['--frontend', 'dockerfile.v0', '--local', 'context=.', '--local', 'dockerfile=.'];
  const file = ['--opt', 'filename=Dockerfile', '--progress', 'plain'];
  const prune = async (directory: string) =>
    void (await timed([...prefix, 'prune', '--all'], directory));
  const missing = (what: string) => async () => {
    throw new Error(`BuildKit ${what}`);
  };
  return {
    name: 'BuildKit',
    hasNoImages: true,
    build: (directory, options = {}) =>
      timed([...prefix, 'build', ...common, ...file, ...outputOf(options)], directory),
    forget: prune,
    forgetSteps: prune,
    load: missing('keeps no images by name'),
    pull: missing('pulls only what a build needs'),
    version: (directory) => timed([...prefix, '--version'], directory),
    check: missing('is not asked to check a Dockerfile here'),
  };
}

/** Returns the flags of buildctl. */
function outputOf(options: BuildOptions): string[] {
  const { archive, push, platforms, cacheTo, cacheFrom } = options;
  return [
    ...(platforms === undefined ? [] : ['--opt', `platform=${platforms}`]),
    ...(cacheTo === undefined ? [] : ['--export-cache', `type=local,mode=max,dest=${cacheTo}`]),
    ...(cacheFrom === undefined ? [] : ['--import-cache', `type=local,src=${cacheFrom}`]),
    ...(archive === undefined ? [] : ['--output', `type=oci,dest=${archive}`]),
    ...(push === undefined ? [] : ['--output', `type=image,push=true,name=${push}`]),
  ];
}

/** Returns the unix socket of the daemon, or undefined when it listens elsewhere. */
export function socketOf(prefix: readonly string[]): string | undefined {
  return /--addr[ =]unix:\/\/(\S+)/.exec(prefix.join(' '))?.[1];
}
