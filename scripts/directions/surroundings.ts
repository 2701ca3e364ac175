import { FOLDERS, type Source } from './sources.ts';

/**
 * What a door hands down as a value: environment, arguments, standard streams, the working
 * directory, the end of the process. Whoever reaches around the door for it cannot be used by
 * another door, or twice in one process.
 */
const REACHES: readonly (readonly [RegExp, string])[] = [
  [/\bprocess\??\.env\b/, 'reads the environment of the process'],
  [/\bprocess\??\.(?:argv0?|execArgv)\b/, 'reads the arguments of the process'],
  [/\bprocess\??\.(?:stdin|stdout|stderr)\b/, 'uses a standard stream of the process'],
  [/\bprocess\??\.(?:cwd|chdir)\b/, 'depends on the working directory'],
  [/\bprocess\??\.(?:exit|exitCode|reallyExit|abort)\b/, 'ends the process'],
  [
    /\bprocess\[|[=(,]\s*process\s*[;,)]|\bglobalThis\.process\b|'node:process'/,
    'hands on the process as a whole',
  ],
  [/\bconsole\.|'node:console'/, 'writes to the console'],
  [
    /\b(?<![.\w])(?:readv?|writev?|fstat|fsync|isatty)(?:Sync)?\(\s*[012]\b/,
    'uses a standard stream',
  ],
  [/'inherit'|\bstdio: \[[012],/, 'lends a standard stream of the process'],
  [
    /\b(?:openSync|open|readFileSync|writeFileSync)\('\/dev\/(?:std\w+|tty|fd\/[012])'/,
    'opens a standard stream',
  ],
];

export function reachesAround({ file, folder, code, role }: Source): string[] {
  if (role !== 'product' || FOLDERS[folder]?.isDoor) return [];
  const lines = code.split('\n');
  const found = REACHES.flatMap(([pattern, what]) =>
    lines.flatMap((line, index) =>
      pattern.test(line) ? [`${file}:${index + 1}: ${what}; take it as a value from above`] : [],
    ),
  );
  return [...found, ...relativePaths(file, code)];
}

/** `resolve` of node:path with one argument makes a path absolute by the working directory. */
function relativePaths(file: string, code: string): string[] {
  const named = /import \{[^}]*\bresolve(?: as (\w+))?\b[^}]*\} from 'node:path'/.exec(code);
  const call = new RegExp(
    `(?:\\b(?:posix|path)\\.resolve${named ? `|(?<![.\\w])${named[1] ?? 'resolve'}` : ''})\\(`,
    'g',
  );
  return [...code.matchAll(call)]
    .filter((match) => argumentsAt(code, match.index + match[0].length) === 1)
    .map(({ index }) => {
      const line = code.slice(0, index).split('\n').length;
      return (
        `${file}:${line}: makes a path absolute by the working directory; take an absolute ` +
        'path from above'
      );
    });
}

/** How many arguments the call has whose opening parenthesis is before `start`. */
function argumentsAt(code: string, start: number): number {
  let depth = 0;
  let count = 1;
  for (let at = start; at < code.length; at++) {
    const char = code[at]!;
    if ('([{'.includes(char)) depth++;
    else if (')]}'.includes(char) && depth-- === 0) return count;
    else if (char === ',' && depth === 0) count++;
  }
  return count;
}
