const WIDTH = 100;

/**
 * Breaks the lines of a Markdown text that have more than 100 columns, except those of tables. The
 * later lines of a list's entry are indented.
 */
export function wrap(markdown: string): string {
  return markdown.split('\n').flatMap(wrapLine).join('\n');
}

function wrapLine(line: string): string[] {
  if (line.length <= WIDTH || line.startsWith('|')) return [line];
  const indent = /^ *- /.exec(line) ? '  ' : '';
  const lines: string[] = [];
  let rest = line;
  while (rest.length > WIDTH) {
    const at = rest.lastIndexOf(' ', WIDTH);
    if (at <= indent.length) break;
    lines.push(rest.slice(0, at));
    rest = indent + rest.slice(at + 1);
  }
  return [...lines, rest];
}
