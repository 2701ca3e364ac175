import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isComment, ROOT, type Source } from './sources.ts';

/** The formatter keeps code to its width and does not touch comments. */
export const WIDTH = 100;

export function wideComments({ file, text }: Pick<Source, 'file' | 'text'>): string[] {
  return text.split('\n').flatMap((line, index) => {
    const width = [...line].length;
    if (width <= WIDTH || !isComment(line) || isUnbreakable(line)) return [];
    return [`${file}:${index + 1}: the comment has ${width} columns, and ${WIDTH} are allowed`];
  });
}

/** Programs and tests that belong to no folder of the product. */
export function wideCommentsBeside(): string[] {
  const files = globSync('{bench,examples,scripts,test}/**/*.ts', { cwd: ROOT });
  return files
    .filter((file) => !file.includes('node_modules'))
    .flatMap((file) => wideComments({ file, text: readFileSync(join(ROOT, file), 'utf8') }));
}

/** One word that is too long by itself: a URL, a path. */
function isUnbreakable(line: string): boolean {
  return line.split(/\s+/).some((word) => word.length > WIDTH - 10);
}
