import { readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Plugin } from 'esbuild';

/**
 * Modules that a build which finds everything cached never calls, though modules that it needs
 * import them: what runs steps, copies files, packs and unpacks layers. In the bundle they are
 * loaded at the first call of one of their functions; with them, a cached build would load 40 %
 * more. The list decides about time alone: a module that is wrongly in it, or not in it, works
 * the same.
 *
 * A module that is listed exports functions and types, nothing else, as only a call can be put
 * off; the bundler holds it to that.
 */
const LAZY = [
  'builder/explain-failure.ts',
  'cache/contenthash/filehash.ts',
  'cache/explain/contentindex.ts',
  'executor/enter-cgroups.ts',
  'executor/network/namespace.ts',
  'executor/network/open-network.ts',
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
  'registry/certificates.ts',
  'registry/credential-helper.ts',
  'registry/layout.ts',
  'snapshotter/copying/assemble.ts',
  'snapshotter/copying/choose.ts',
  'snapshotter/copying/gather.ts',
  'snapshotter/layer/encoder.ts',
  'snapshotter/layer/replay.ts',
  'snapshotter/layer/reserved.ts',
  'snapshotter/layer/pack.ts',
  'snapshotter/layer/unpack.ts',
  'snapshotter/layer/zstd-frames.ts',
  'snapshotter/overlay/tidy.ts',
  'snapshotter/sys/mount.ts',
  'snapshotter/sys/removal.ts',
  'snapshotter/sys/rooted.ts',
  'solver/explain/reason.ts',
  'solver/ops/exec/copy-subtree.ts',
  'solver/ops/exec/process.ts',
  'solver/ops/file/copytree.ts',
  'solver/ops/file/run-actions.ts',
  'solver/ops/merge.ts',
];

/** Behind the path of a module of LAZY: the module itself, not what stands in its place. */
export const ITSELF = '?itself';

const listed: ReadonlySet<string> = new Set(LAZY);

/** Throws for a module of the list that is not in the bundle (any more). */
export function checkPutOff(modules: Readonly<Record<string, unknown>>): void {
  for (const module of LAZY)
    if (!(module in modules))
      throw new Error(`scripts/lazy.ts lists ${module}, which is not in the bundle`);
}

export function isPutOff(module: string): boolean {
  return listed.has(module);
}

/**
 * Puts functions of the same names in the place of the modules of LAZY; they load the module
 * itself.
 */
export function putOff(root: string): Plugin {
  return {
    name: 'put off',
    setup(made) {
      made.onResolve({ filter: /\?itself$/ }, ({ path, resolveDir }) => ({
        path: join(resolveDir, path.slice(0, -ITSELF.length)),
        suffix: ITSELF,
      }));
      made.onLoad({ filter: /\.ts$/ }, ({ path, suffix }) => {
        if (suffix !== '' || !isPutOff(relative(root, path))) return undefined;
        return { contents: standIn(path), loader: 'js', resolveDir: dirname(path) };
      });
    },
  };
}

function standIn(path: string): string {
  const calls = functionsOf(path).map(
    (name) => `export function ${name}(...args){return itself().${name}(...args)}`,
  );
  return [
    `let found;const itself=()=>found??=require("./${basename(path)}${ITSELF}");`,
    ...calls,
  ].join('\n');
}

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
