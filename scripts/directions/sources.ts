import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

interface Folder {
  /** What it may import besides itself. */
  readonly imports: 'all below' | readonly string[];
  /**
   * True for a door: a folder that stands between Kiln and its callers, and may ask the process
   * about its surroundings.
   */
  readonly isDoor?: true;
}

/** The folders of the sources, from the top down. Scripts and tests take their lists from here. */
export const FOLDERS: Readonly<Record<string, Folder>> = {
  cli: { imports: 'all below', isDoor: true },
  api: { imports: 'all below', isDoor: true },
  builder: { imports: 'all below' },
  frontend: { imports: ['solver/llb', 'base'] },
  exporter: { imports: ['solver', 'cache', 'registry', 'snapshotter', 'base'] },
  solver: { imports: ['executor', 'cache', 'registry', 'snapshotter', 'base'] },
  executor: { imports: ['snapshotter', 'base'] },
  cache: { imports: ['registry', 'snapshotter', 'base'] },
  registry: { imports: ['snapshotter', 'base'] },
  snapshotter: { imports: ['base'] },
  base: { imports: [] },
};
export const FOLDER_NAMES: readonly string[] = Object.keys(FOLDERS);

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
  return globSync(`{${FOLDER_NAMES}}/**/*.ts`, { cwd: ROOT })
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

const OF_TESTS = [
  /\.(?:test|contract|fixture)\.ts$/,
  /-fixture\.ts$/,
  /(?:^|\/)(?:fixture|testing)(?:\/|\.ts$)/,
  /testdata/,
];

function roleOf(file: string): Source['role'] {
  if (/\.child\.ts$|oracle\.ts$/.test(file)) return 'program';
  return OF_TESTS.some((pattern) => pattern.test(file)) ? 'test' : 'product';
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
