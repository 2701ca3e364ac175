import { basename } from 'node:path';
import type { Source } from './sources.ts';

/**
 * Every module of a command has these: they are the interface `CommandModule` (cli/commands.ts).
 */
const OF_A_COMMAND: ReadonlySet<string> = new Set(['run', 'declareCommand']);

/** Exported names that two files declare: a reader who searches for one has to ask which. */
export function doubleNames(sources: readonly Source[]): string[] {
  const declared = new Map<string, string[]>();
  for (const { file, code, role } of sources) {
    if (role !== 'product' || file.endsWith('.gen.ts')) continue;
    for (const name of exportsOf(code)) {
      if (file.startsWith('cli/commands/') && OF_A_COMMAND.has(name)) continue;
      declared.set(name, [...(declared.get(name) ?? []), file]);
    }
  }
  return [...declared]
    .filter(([, files]) => files.length > 1)
    .map(([name, files]) => `${name} is exported with more than one meaning: ${files.join(', ')}`);
}

/**
 * What a file declares and exports, each name once: overloads, and a type beside a value of its
 * name, are one. What it re-exports is another's.
 */
function exportsOf(code: string): ReadonlySet<string> {
  const declaration =
    /^export (?:\w+ )*?(?:const|let|function\*?|class|interface|type|enum) (\w+)/gm;
  const list = /^export (?:type )?\{([^}]*)\}(?! from)/gm;
  const listed = [...code.matchAll(list)].flatMap(([, names = '']) =>
    names.split(',').map((name) => name.trim().replace(/^(?:type )?(?:\w+ as )?/, '')),
  );
  return new Set([
    ...[...code.matchAll(declaration)].map(([, name = '']) => name),
    ...listed.filter(Boolean),
  ]);
}

/**
 * Names of files that say nothing about what is in them unless one knows the folder: each may stand
 * in one of the folders at the top.
 */
const GENERIC: ReadonlySet<string> = new Set([
  ...[
    'common',
    'constants',
    'data',
    'documents',
    'errors',
    'export',
    'fields',
    'files',
    'find',
    'helpers',
    'history',
    'host',
  ],
  ...[
    'images',
    'index',
    'info',
    'layers',
    'misc',
    'names',
    'open',
    'options',
    'output',
    'places',
    'problem',
    'progress',
    'push',
  ],
  ...[
    'request',
    'resolve',
    'result',
    'run',
    'save',
    'shared',
    'size',
    'source',
    'state',
    'step',
    'tree',
    'types',
    'usage',
  ],
  ...['util', 'utils', 'view'],
]);

/** In `cli/commands/` a file is named by what the user types. */
export function genericFileNames(sources: readonly Source[]): string[] {
  const generic = new Map<string, Source[]>();
  for (const source of sources) {
    const name = basename(source.file, '.ts');
    if (source.role !== 'product' || source.file.startsWith('cli/commands/') || !GENERIC.has(name))
      continue;
    generic.set(name, [...(generic.get(name) ?? []), source]);
  }
  return [...generic]
    .filter(([, found]) => new Set(found.map(({ folder }) => folder)).size > 1)
    .map(
      ([name, found]) =>
        `${name}.ts says too little to stand in several folders: ` +
        `${found.map(({ file }) => file).join(', ')}`,
    );
}
