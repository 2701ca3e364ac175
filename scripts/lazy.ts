import { readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Plugin } from 'esbuild';

/**
 * Modules that a cached build imports but never calls: they run steps, copy files, pack and unpack
 * layers. The bundle loads each at the first call of one of its functions. Otherwise a cached build
 * would load 40 % more code. The list only affects the time: Kiln works the same whether a module
 * is in it or not.
 *
 * A listed module may export only functions and types, because only a call can be deferred. The
 * bundler checks it.
 */
const LAZY = [
  'base/printable.ts',
  'builder/explain-failure.ts',
  'cache/contenthash/filehash.ts',
  'cache/contenthash/xattrs.ts',
  'cache/explain/contentindex.ts',
  'cli/flags/build-arg-files.ts',
  'cli/flags/local-delete.ts',
  'cli/flags/podman-flags.ts',
  'cli/flags/policy.ts',
  'cli/flags/resources.ts',
  'cli/flags/podman-translate.ts',
  'cli/flags/volumes.ts',
  'executor/emulation/find-emulator.ts',
  'executor/enter-cgroups.ts',
  'executor/network/namespace.ts',
  'executor/network/open-network.ts',
  'executor/pipes.ts',
  'executor/probe.ts',
  'executor/rlimits.ts',
  'executor/run-sandbox.ts',
  'executor/sandbox-host.ts',
  'executor/sandbox-tree.ts',
  'executor/seccomp.ts',
  'executor/spawn.ts',
  'executor/spec.ts',
  'executor/user.ts',
  'executor/watchdog.ts',
  'exporter/destination.ts',
  'exporter/layout.ts',
  'frontend/ignore.ts',
  'registry/credential-helper.ts',
  'registry/layout.ts',
  'snapshotter/copying/assemble.ts',
  'snapshotter/copying/choose.ts',
  'snapshotter/copying/gather.ts',
  'snapshotter/layer/encoder.ts',
  'snapshotter/layer/hash.ts',
  'snapshotter/layer/pack.ts',
  'snapshotter/layer/replay.ts',
  'snapshotter/layer/reserved.ts',
  'snapshotter/layer/unpack.ts',
  'snapshotter/layer/zstd-frames.ts',
  'snapshotter/overlay/filelock.ts',
  'snapshotter/overlay/tidy.ts',
  'snapshotter/sys/arenas.ts',
  'snapshotter/sys/garbage.ts',
  'snapshotter/sys/launch.ts',
  'snapshotter/sys/mount.ts',
  'snapshotter/sys/removal.ts',
  'snapshotter/sys/rooted.ts',
  'snapshotter/sys/usernamespace.ts',
  'solver/explain/reason.ts',
  'solver/ops/diff/between.ts',
  'solver/ops/exec/cache-mounts.ts',
  'solver/ops/exec/copy-subtree.ts',
  'solver/ops/exec/mount-trees.ts',
  'solver/ops/exec/mounts.ts',
  'solver/ops/exec/process.ts',
  'solver/ops/file/copytree.ts',
  'solver/ops/file/destination.ts',
  'solver/ops/file/run-actions.ts',
  'solver/ops/file/steps.ts',
  'solver/ops/keep-left.ts',
  'solver/ops/merge.ts',
  'solver/source-policy/read-policy.ts',
];

/** A suffix of the path of a module in LAZY. It means the module itself, not its replacement. */
export const ITSELF = '?itself';

const listed: ReadonlySet<string> = new Set(LAZY);

/** Throws when a module of the list is not in the bundle. `modules` are the bundle's by path. */
export function checkDeferred(modules: Readonly<Record<string, unknown>>): void {
  for (const module of LAZY)
    if (!(module in modules))
      throw new Error(`scripts/lazy.ts lists ${module}, which is not in the bundle`);
}

/** Says whether the module with this path in the checkout is loaded at its first call. */
export function isDeferred(module: string): boolean {
  return listed.has(module);
}

/**
 * Replaces each module of LAZY by functions of the same names that load the module and call it.
 */
export function deferModules(root: string): Plugin {
  return {
    name: 'defer modules',
    setup(made) {
      made.onResolve({ filter: /\?itself$/ }, ({ path, resolveDir }) => ({
        path: join(resolveDir, path.slice(0, -ITSELF.length)),
        suffix: ITSELF,
      }));
      made.onLoad({ filter: /\.ts$/ }, ({ path, suffix }) => {
        if (suffix !== '' || !isDeferred(relative(root, path))) return undefined;
        return { contents: replacement(path), loader: 'js', resolveDir: dirname(path) };
      });
    },
  };
}

/** Returns the code that replaces a module of LAZY. */
function replacement(path: string): string {
  const calls = functionsOf(path).map(
    (name) => `export function ${name}(...args){return itself().${name}(...args)}`,
  );
  return [
    `let found;const itself=()=>found??=require("./${basename(path)}${ITSELF}");`,
    ...calls,
  ].join('\n');
}

/**
 * Returns the names of the functions that a module exports. Throws when it exports other values.
 */
function functionsOf(path: string): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => /^export\b/.test(line) && !/^export (type|interface)\b/.test(line))
    .map((line) => {
      const name = /^export (?:async )?function\*? ?(\w+)/.exec(line)?.[1];
      if (name === undefined)
        throw new Error(
          `${path} cannot be loaded lazily (scripts/lazy.ts), as it exports more than ` +
            `functions: ${line}`,
        );
      return name;
    });
}
