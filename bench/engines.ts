import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Run, timed } from './timed.ts';

const ROOT = join(import.meta.dirname, '..');

/**
 * An image builder that is measured. Each method runs a command to its end. When the command fails,
 * it throws an error with the output of the command.
 */
export interface Engine {
  readonly name: string;
  /** It keeps no images by name, so a base image can only be in a registry. */
  readonly hasNoImages?: boolean;
  /** Builds the context in `directory`. Paths in `options` are relative to it. */
  build(directory: string, options?: BuildOptions): Promise<Run>;
  /** Loads the image of an OCI archive under the name `name`. */
  load(directory: string, archive: string, name: string): Promise<void>;
  /** Removes images and the build cache, so that the next pull downloads everything. */
  forget(directory: string, names: readonly string[]): Promise<void>;
  /** Removes the build cache and keeps the images. */
  forgetSteps(directory: string): Promise<void>;
  /** Downloads an image from a registry and unpacks it. */
  pull(directory: string, name: string): Promise<Run>;
  version(directory: string): Promise<Run>;
  /** Reads and checks the Dockerfile of a context, and builds nothing. */
  check(directory: string): Promise<Run>;
}

export interface BuildOptions {
  /** Write a gzip OCI archive to this file. */
  readonly archive?: string;
  readonly tag?: string;
  /** Push the image under this name. */
  readonly push?: string;
  /** Platforms, separated by commas. */
  readonly platforms?: string;
  /** Make no image. */
  readonly cacheOnly?: boolean;
  /** Export a cache of all steps to this directory. */
  readonly cacheTo?: string;
  /** Import a cache from this directory. */
  readonly cacheFrom?: string;
}

/** Returns the flags of a build, which are the same for Kiln and Docker. */
function outputOf({
  archive,
  tag,
  push,
  platforms,
  cacheOnly,
  cacheTo,
  cacheFrom,
}: BuildOptions): string[] {
  const flags = [
    ...(platforms === undefined ? [] : ['--platform', platforms]),
    ...(cacheTo === undefined ? [] : ['--cache-to', `type=local,dest=${cacheTo},mode=max`]),
    ...(cacheFrom === undefined ? [] : ['--cache-from', `type=local,src=${cacheFrom}`]),
  ];
  if (cacheOnly) return [...flags, '--output', 'type=cacheonly'];
  if (push !== undefined) return [...flags, '--push', '-t', push];
  return [
    ...flags,
    ...(archive ? ['--output', `type=oci,dest=${archive}`] : ['-t', tag ?? 'bench']),
  ];
}

/** Runs one command after the other and returns one measurement. */
async function both(first: Promise<Run>, second: () => Promise<Run>): Promise<Run> {
  const one = await first;
  const two = await second();
  return {
    ms: one.ms + two.ms,
    cpuMs: one.cpuMs + two.cpuMs,
    peakMb: Math.max(one.peakMb, two.peakMb),
    rssMb: Math.max(one.rssMb, two.rssMb),
  };
}

export function kiln(store: string): Engine {
  const binary = join(ROOT, 'kiln');
  const env = { KILN_ROOT: store };
  const quiet = ['--progress', 'quiet'];
  return {
    name: 'Kiln',
    build: (directory, options = {}) =>
      timed([binary, 'build', ...quiet, ...outputOf(options), '.'], directory, env),
    load: async (directory, archive, name) => {
      await timed([binary, 'load', '--quiet', '--input', archive], directory, env);
      await timed([binary, 'inspect', name], directory, env);
    },
    forget: async (directory) =>
      void (await timed(['sh', '-c', `rm -rf "$KILN_ROOT"/*`], directory, env)),
    forgetSteps: async (directory) =>
      void (await timed([binary, 'prune', '--all', '--force'], directory, env)),
    pull: (directory, name) => timed([binary, 'pull', '--quiet', name], directory, env),
    version: (directory) => timed([binary, '--version'], directory, env),
    check: (directory) => timed([binary, 'build', '--check', '.'], directory, env),
  };
}

export function docker(prefix: readonly string[]): Engine {
  const common = ['build', '--network', 'host', '--provenance=false', '--quiet'];
  return {
    name: 'Docker',
    build: (directory, options = {}) =>
      timed([...prefix, ...common, ...outputOf(options), '.'], directory),
    load: async (directory, archive) =>
      void (await timed([...prefix, 'load', '--quiet', '--input', archive], directory)),
    forget: async (directory, names) => {
      await timed([...prefix, 'builder', 'prune', '-af'], directory);
      for (const name of ['bench', ...names])
        await timed([...prefix, 'image', 'rm', '-f', name], directory).catch(() => {});
      await timed([...prefix, 'image', 'prune', '-f'], directory);
    },
    forgetSteps: async (directory) =>
      void (await timed([...prefix, 'builder', 'prune', '-af'], directory)),
    pull: (directory, name) => timed([...prefix, 'pull', '--quiet', name], directory),
    version: (directory) => timed([...prefix, '--version'], directory),
    check: (directory) => timed([...prefix, 'build', '--check', '.'], directory),
  };
}

/** The hard limit of this process, as /proc/self/limits has it. */
function hardLimit(what: 'processes'): string {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  return new RegExp(`^Max ${what} +\\S+ +(\\d+)`, 'm').exec(limits)?.[1] ?? '65536';
}

export function buildah(prefix: readonly string[]): Engine {
  return {
    name: 'buildah',
    build: async (directory, { archive, tag, push, platforms } = {}) => {
      const name =
        platforms !== undefined
          ? 'bench-list'
          : push === undefined
            ? (tag ?? 'bench')
            : 'bench-push';
      const common = ['build', '--layers', '--quiet', '--network', 'host', '--tls-verify=false'];
      // Its own default may be above what this machine allows.
      const limits = ['--ulimit', `nproc=${hardLimit('processes')}`];
      // A build for several platforms adds its images to a manifest list, so the list of the last
      // build is removed first.
      if (platforms !== undefined)
        await timed([...prefix, 'manifest', 'rm', name], directory).catch(() => {});
      const target =
        platforms === undefined
          ? ['-t', archive ? `oci-archive:${archive}` : name]
          : ['--manifest', name];
      const flags = platforms === undefined ? [] : ['--platform', platforms];
      const built = timed([...prefix, ...common, ...limits, ...flags, ...target, '.'], directory);
      if (push === undefined) return built;
      const send = platforms === undefined ? ['push'] : ['manifest', 'push', '--all'];
      return both(built, () =>
        timed(
          [...prefix, ...send, '--quiet', '--tls-verify=false', name, `docker://${push}`],
          directory,
        ),
      );
    },
    load: async (directory, archive, name) => {
      await timed([...prefix, 'pull', '--quiet', `oci-archive:${archive}`], directory);
      const id =
        spawnSync(
          prefix[0]!,
          [...prefix.slice(1), 'images', '--quiet', '--no-trunc', '--sort', 'created_at'],
          {
            cwd: directory,
            encoding: 'utf8',
          },
        )
          .stdout.trim()
          .split('\n')[0] ?? '';
      await timed([...prefix, 'tag', id, name], directory).catch(() => {});
    },
    forget: async (directory, names) => {
      for (const name of ['bench', ...names])
        await timed([...prefix, 'rmi', '-f', name], directory).catch(() => {});
      await timed([...prefix, 'prune', '-f'], directory).catch(() => {});
    },
    forgetSteps: async (directory) => void (await timed([...prefix, 'prune', '-f'], directory)),
    pull: (directory, name) =>
      timed([...prefix, 'pull', '--quiet', '--tls-verify=false', name], directory),
    version: (directory) => timed([...prefix, '--version'], directory),
    check: async () => {
      throw new Error('buildah checks no Dockerfile without building it');
    },
  };
}
