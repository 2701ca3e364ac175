/**
 * Finds the error codes that the sources can throw, by folder. `node scripts/errors.ts` prints
 * them. docs/errors.md explains each code, and base/errors.test.ts compares the two lists. An error
 * code is a quoted `KILN_…` that is not the name of an environment variable.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FOLDER_NAMES } from './directions/sources.ts';

const ROOT = join(import.meta.dirname, '..');
/** The folders from the bottom up, in the order of docs/errors.md. */
export const ERROR_FOLDERS = FOLDER_NAMES.toReversed();
/** The file that only lists the codes. It throws none. */
const UNION = 'base/codes.ts';
/** The file that lists environment variables. */
const VARIABLES = 'cli/reference/environment.ts';
const TESTS = /\.(test|contract|fixture|child)\.ts$|\/(testing|testdata)\/|\/testing\.ts$/;

/** Returns each code with the folders whose sources contain it. */
export function codesInSources(): Map<string, Set<string>> {
  const codes = new Map<string, Set<string>>();
  for (const folder of ERROR_FOLDERS) {
    for (const file of globSync(`${folder}/**/*.{ts,cts}`, { cwd: ROOT })) {
      if (TESTS.test(file) || file === UNION || file === VARIABLES) continue;
      for (const code of codesIn(readFileSync(join(ROOT, file), 'utf8'))) {
        codes.set(code, (codes.get(code) ?? new Set()).add(folder));
      }
    }
  }
  return codes;
}

/**
 * Returns the codes in the text of a source. `env['KILN_ROOT']` is not a code, but a code may be an
 * element of a list.
 */
export function codesIn(text: string): string[] {
  return [...text.matchAll(/(?<!\w\[)(['"`])(KILN_[A-Z0-9_]*[A-Z0-9])\1/g)].map(
    (match) => match[2]!,
  );
}

/**
 * Returns the codes that docs/errors.md explains, in its order, with the folder in whose section
 * each is.
 */
export function codesInDocument(): { readonly code: string; readonly folder: string }[] {
  let folder = '';
  const found: { code: string; folder: string }[] = [];
  for (const line of readFileSync(join(ROOT, 'docs/errors.md'), 'utf8').split('\n')) {
    folder = /^## (\w+)/.exec(line)?.[1] ?? folder;
    const code = /^- `(KILN_\w+)`: \S/.exec(line)?.[1];
    if (code) found.push({ code, folder });
  }
  return found;
}

/** Returns the members of the type KilnErrorCode. */
export function codesInUnion(): string[] {
  return codesIn(readFileSync(join(ROOT, UNION), 'utf8'));
}

if (import.meta.main) {
  const codes = codesInSources();
  for (const folder of ERROR_FOLDERS) {
    console.log(`## ${folder}`);
    for (const [code, folders] of [...codes].sort(([a], [b]) => (a < b ? -1 : 1)))
      if ([...folders][0] === folder) console.log(`- \`${code}\`: ${[...folders].join(' ')}`);
  }
}
