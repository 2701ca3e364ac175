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

/** As `wideLines` for every source file, of the product or beside it. Parsers are generated. */
export function wideLinesOfAll(root = ROOT): string[] {
  const files = globSync('**/*.{ts,cts}', {
    cwd: root,
    exclude: (name) => name === 'node_modules' || name === 'dist' || name.endsWith('.gen.ts'),
  });
  return files
    .sort()
    .flatMap((file) => wideLines({ file, text: readFileSync(join(root, file), 'utf8') }));
}

/** A comment that is a single URL cannot be broken. A literal can be. */
function isLongAddress(line: string): boolean {
  return /^\s*(?:\/\/|\/?\*+) \w+:\/\/\S+$/.test(line);
}
