import { FOLDERS, type Source } from './sources.ts';

/**
 * Patterns of code that uses the environment, arguments, standard streams or working directory of
 * the process, or ends it. Only entry points may do so, and pass values down. Other code that does
 * so could not be used by another entry point, or twice in one process.
 */
const ACCESSES: readonly (readonly [RegExp, string])[] = [
  [/\bprocess\??\.env\b/, 'reads the environment of the process'],
  [/\bprocess\??\.(?:argv0?|execArgv)\b/, 'reads the arguments of the process'],
  [/\bprocess\??\.(?:stdin|stdout|stderr)\b/, 'uses a standard stream of the process'],
  [/\bprocess\??\.(?:cwd|chdir)\b/, 'depends on the working directory'],
  [/\bprocess\??\.(?:exit|exitCode|reallyExit|abort)\b/, 'ends the process'],
  [
    /\bprocess\[|[=(,]\s*process\s*[;,)]|\bglobalThis\.process\b|'node:process'/,
    'passes on the process as a whole',
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

/** Returns the places outside entry points and tests that use the process. */
export function processAccesses({ file, folder, code, role }: Source): string[] {
  if (role !== 'product' || FOLDERS[folder]?.isEntryPoint) return [];
  const lines = code.split('\n');
  const found = ACCESSES.flatMap(([pattern, what]) =>
    lines.flatMap((line, index) =>
      pattern.test(line) ? [`${file}:${index + 1}: ${what}; take it as a value from above`] : [],
    ),
  );
  return [...found, ...relativePaths(file, code)];
}

/** Returns calls of `resolve` of node:path with one argument. They use the working directory. */
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
        `${file}:${line}: resolves a path against the working directory; take an absolute ` +
        'path from above'
      );
    });
}

/** Counts the arguments of a call. `start` is the index after its opening parenthesis. */
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
