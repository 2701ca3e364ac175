/**
 * The error codes that the sources can throw, by folder: `node scripts/errors.ts` prints them.
 * docs/errors.md explains each; the test base/errors.test.ts holds the two to each other. A code is
 * found as a quoted `KILN_…` that is not the name of an environment variable.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FOLDER_NAMES } from './directions/sources.ts';

const ROOT = join(import.meta.dirname, '..');
/** The folders from the bottom up, as docs/errors.md has them. */
export const ERROR_FOLDERS = FOLDER_NAMES.toReversed();
/** The type that lists the codes: what it names is not yet thrown by anybody. */
const UNION = 'base/codes.ts';
/** What it names are environment variables. */
const VARIABLES = 'cli/reference/environment.ts';
const TESTS = /\.(test|contract|fixture|child)\.ts$|\/(testing|testdata)\/|\/testing\.ts$/;

/** Each code with the folders whose sources name it. */
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

/** The codes quoted in one source text. `env['KILN_ROOT']` is none; a code in a list is. */
export function codesIn(text: string): string[] {
  return [...text.matchAll(/(?<!\w\[)(['"`])(KILN_[A-Z0-9_]*[A-Z0-9])\1/g)].map(
    (match) => match[2]!,
  );
}

/** What docs/errors.md explains, in order: each line of a list under the heading of a folder. */
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

/** The members of the union KilnErrorCode. */
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
