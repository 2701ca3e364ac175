import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

/** Folders from the top down, and for each the folders it may import from besides itself. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  cli: [
    'builder',
    'frontend',
    'exporter',
    'solver',
    'executor',
    'cache',
    'registry',
    'snapshotter',
    'base',
  ],
  builder: [
    'frontend',
    'exporter',
    'solver',
    'executor',
    'cache',
    'registry',
    'snapshotter',
    'base',
  ],
  frontend: ['solver/llb', 'base'],
  exporter: ['solver', 'cache', 'registry', 'snapshotter', 'base'],
  solver: ['executor', 'cache', 'registry', 'snapshotter', 'base'],
  executor: ['snapshotter', 'base'],
  cache: ['registry', 'snapshotter', 'base'],
  registry: ['snapshotter', 'base'],
  snapshotter: ['base'],
  base: [],
};

/**
 * The doors: what stands between Kiln and whoever calls it, and may ask the process about its
 * surroundings.
 */
export const DOORS: ReadonlySet<string> = new Set(['cli', 'api']);

export interface Source {
  /** Relative to the checkout. */
  readonly file: string;
  /** The folder at the top that it is in. */
  readonly folder: string;
  readonly text: string;
  /** `text` without comments; every line keeps its number. */
  readonly code: string;
  /** The files it imports, types and later imports included. */
  readonly imports: readonly string[];
  /** `test`: only tests run it. `program`: it is started as a process of its own by a test. */
  readonly role: 'product' | 'test' | 'program';
}

export function readSources(): Source[] {
  const folders = Object.keys(MAY_IMPORT).join(',');
  return globSync(`{${folders}}/**/*.ts`, { cwd: ROOT })
    .sort()
    .map((file) => parseSource(file, readFileSync(join(ROOT, file), 'utf8')));
}

export function parseSource(file: string, text: string): Source {
  const [folder = ''] = file.split('/');
  return {
    file,
    folder,
    text,
    code: withoutComments(text),
    imports: importsOf(file, text),
    role: roleOf(file),
  };
}

function roleOf(file: string): Source['role'] {
  if (/\.child\.ts$|oracle\.ts$/.test(file)) return 'program';
  return /\.(?:test|contract|fixture)\.ts$|-fixture\.ts$|(?:^|\/)(?:fixture|testing)(?:\/|\.ts$)|testdata/.test(
    file,
  )
    ? 'test'
    : 'product';
}

function importsOf(file: string, text: string): string[] {
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    relative(ROOT, join(ROOT, dirname(file), path)),
  );
}

/** By lines, as the formatter leaves them: a comment begins its line or follows a blank. */
function withoutComments(text: string): string {
  return text
    .split('\n')
    .map((line) => (isComment(line) ? '' : line.replace(/\s\/\/ .*$/, '')))
    .join('\n');
}

export function isComment(line: string): boolean {
  return /^\s*(?:\/\/|\/\*|\*(?:\s|\/|$))/.test(line);
}
