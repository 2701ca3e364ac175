import { isComment, type Source } from './sources.ts';

/** The formatter keeps code to its width and does not touch comments. */
export const WIDTH = 100;

export function wideComments({ file, text }: Source): string[] {
  return text.split('\n').flatMap((line, index) => {
    const width = [...line].length;
    if (width <= WIDTH || !isComment(line) || isUnbreakable(line)) return [];
    return [`${file}:${index + 1}: the comment has ${width} columns, and ${WIDTH} are allowed`];
  });
}

/** One word that is too long by itself: a URL, a path. */
function isUnbreakable(line: string): boolean {
  return line.split(/\s+/).some((word) => word.length > WIDTH - 10);
}
