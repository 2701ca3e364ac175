/**
 * Bundles the command line into dist/: entry.js starts main.js; what is imported lazily becomes chunks of its own, so that start-up
 * reads only what a command needs. koffi stays outside (it is a native addon).
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const version = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version as string;

rmSync(join(root, 'dist'), { recursive: true, force: true });
const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  minify: true,
  keepNames: false,
  legalComments: 'none',
  external: ['koffi'],
  define: { KILN_VERSION: JSON.stringify(version) },
  // CommonJS packages in the bundle call require for Node's own modules.
  banner: { js: "import{createRequire as __kilnRequire}from'node:module';const require=__kilnRequire(import.meta.url);" },
  logLevel: 'warning',
};
await build({
  ...common,
  entryPoints: { main: 'cli/main.ts', worker: 'cli/worker.ts' },
  outdir: 'dist',
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
});
await build({
  absWorkingDir: root,
  entryPoints: { kiln: 'cli/entry.js' },
  outdir: 'dist',
  format: 'esm',
  minify: true,
});
