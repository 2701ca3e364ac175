import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, type Source } from './sources.ts';

/**
 * The maximum width of a line in columns. The formatter breaks wider code, but not comments,
 * literals and regular expressions.
 */
export const WIDTH = 100;

/** Returns the lines of a file that are wider than `WIDTH`, including comments and literals. */
export function wideLines({ file, text }: Pick<Source, 'file' | 'text'>): string[] {
  return text.split('\n').flatMap((line, index) => {
    const width = [...line].length;
    if (width <= WIDTH || isLongAddress(line)) return [];
    return [`${file}:${index + 1}: the line has ${width} columns, and ${WIDTH} are allowed`];
  });
}

/**
 * Installed and generated files, and the recipes of the test images. Test images are cached by a
 * digest of their recipes, so reformatting a recipe would rebuild the image.
 */
const LEFT_OUT = /^(?:node_modules|dist|test-images|.*\.gen\.ts)$/;

/** Returns the wide lines of all TypeScript files, grammars and shell scripts of the checkout. */
export function wideLinesOfAll(root = ROOT): string[] {
  const files = globSync(['kiln', '**/*.{ts,cts,ne,sh}'], {
    cwd: root,
    exclude: (name) => LEFT_OUT.test(name),
  });
  return files
    .sort()
    .flatMap((file) => wideLines({ file, text: readFileSync(join(root, file), 'utf8') }));
}

/** Says whether a line is a comment with only a URL, which cannot be broken. */
function isLongAddress(line: string): boolean {
  return /^\s*(?:\/\/|\/?\*+) \w+:\/\/\S+$/.test(line);
}
