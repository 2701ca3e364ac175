/** Writes the type declarations of the library to dist/types/. npm runs it to pack the package. */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
rmSync(join(root, 'dist/types'), { recursive: true, force: true });
const out = join(root, 'dist/types');
const { status } = spawnSync(
  join(root, 'node_modules/.bin/tsc'),
  ['--project', join(root, 'tsconfig.types.json'), '--outDir', out],
  { stdio: 'inherit' },
);
if (status === 0) keepReachable(join(out, 'builder/library.d.ts'));
process.exitCode = status ?? 1;

/** Removes the declarations that `entry` does not import, directly or indirectly. */
function keepReachable(entry: string): void {
  const reached = new Set<string>();
  const open = [entry];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    for (const match of readFileSync(file, 'utf8').matchAll(/(?:from |import\()'(\.[^']+)'/g))
      open.push(join(dirname(file), match[1]!.replace(/\.ts$/, '.d.ts')));
  }
  for (const file of globSync('**/*.d.ts', { cwd: out }))
    if (!reached.has(join(out, file))) rmSync(join(out, file));
}
