import { basename } from 'node:path';
import type { Source } from './sources.ts';

/** The names that each module of a command exports (`CommandModule` in cli/commands.ts). */
const COMMAND_MODULE: ReadonlySet<string> = new Set(['run', 'declareCommand']);

/** Returns the exported names that several files declare. Such a name is ambiguous for a reader. */
export function doubleNames(sources: readonly Source[]): string[] {
  const declared = new Map<string, string[]>();
  for (const { file, code, role } of sources) {
    if (role !== 'product' || file.endsWith('.gen.ts')) continue;
    for (const name of exportsOf(code)) {
      if (file.startsWith('cli/commands/') && COMMAND_MODULE.has(name)) continue;
      declared.set(name, [...(declared.get(name) ?? []), file]);
    }
  }
  return [...declared]
    .filter(([, files]) => files.length > 1)
    .map(([name, files]) => `${name} is exported with more than one meaning: ${files.join(', ')}`);
}

/**
 * Returns the names that a file declares and exports, each once, even when it has overloads or is
 * both a type and a value. Leaves out re-exports.
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
 * File names that say little about the content of the file. Each may be used in only one of the
 * top-level folders.
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

/**
 * Returns the generic file names that several folders use. Files in `cli/commands/` are named after
 * the command and are left out.
 */
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
        `${name}.ts is too generic a name to be used in several folders: ` +
        `${found.map(({ file }) => file).join(', ')}`,
    );
}
