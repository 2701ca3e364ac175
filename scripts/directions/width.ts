import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, type Source } from './sources.ts';

/**
 * The formatter keeps code to its width, but does not touch comments, literals and regular
 * expressions.
 */
export const WIDTH = 100;

/** The lines of a file that have more columns than allowed, comments and literals included. */
export function wideLines({ file, text }: Pick<Source, 'file' | 'text'>): string[] {
  return text.split('\n').flatMap((line, index) => {
    const width = [...line].length;
    if (width <= WIDTH || isLongAddress(line)) return [];
    return [`${file}:${index + 1}: the line has ${width} columns, and ${WIDTH} are allowed`];
  });
}

/**
 * Folders and files that are installed or generated. The test images are cached under a digest of
 * their recipes, so a change of layout there would make all of them again.
 */
const LEFT_OUT = /^(?:node_modules|dist|test-images|.*\.gen\.ts)$/;

/** As `wideLines` for every TypeScript file, grammar and shell script of the checkout. */
export function wideLinesOfAll(root = ROOT): string[] {
  const files = globSync(['kiln', '**/*.{ts,cts,ne,sh}'], {
    cwd: root,
    exclude: (name) => LEFT_OUT.test(name),
  });
  return files
    .sort()
    .flatMap((file) => wideLines({ file, text: readFileSync(join(root, file), 'utf8') }));
}

/** A comment that is a single URL cannot be broken. A literal can be. */
function isLongAddress(line: string): boolean {
  return /^\s*(?:\/\/|\/?\*+) \w+:\/\/\S+$/.test(line);
}
