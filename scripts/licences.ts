/**
 * Writes dist/LICENCES: the licences of the packages whose code is in the bundle, as they ask. npm
 * runs this to pack the package.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: [
    'cli/main.ts',
    'cli/worker-thread.ts',
    'builder/library.ts',
    'registry/undici.ts',
    'yaml',
  ],
  outdir: 'none',
  bundle: true,
  platform: 'node',
  format: 'esm',
  metafile: true,
  write: false,
  logLevel: 'error',
});
const packages = new Set(
  Object.keys(metafile.inputs).flatMap((path) => {
    const [, found] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ?? [];
    return found === undefined ? [] : [found];
  }),
);
const parts = [...packages].sort().map((name) => {
  const directory = join(root, 'node_modules', name);
  const { version, license } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  ) as { version: string; license: string };
  return `${name} ${version} (${license})\n\n${licenceText(directory)}`;
});
writeFileSync(
  join(root, 'dist/LICENCES'),
  ['Kiln contains code of these packages.\n', ...parts].join(`\n${'-'.repeat(80)}\n\n`),
);

/** The text of the licence. Some packages have it only in their README, some only by its name. */
function licenceText(directory: string): string {
  const file = readdirSync(directory).find((name) => /^licen[cs]e/i.test(name));
  if (file) return readFileSync(join(directory, file), 'utf8');
  const readme = join(directory, 'README.md');
  const text = existsSync(readme) ? readFileSync(readme, 'utf8') : '';
  return /^#+ licen[cs]e\n[\s\S]*/im.exec(text)?.[0] ?? '';
}
