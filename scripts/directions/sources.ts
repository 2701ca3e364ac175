import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

interface Folder {
  /** The folders that it may import besides itself. */
  readonly imports: 'all below' | readonly string[];
  /**
   * True for an entry point: a folder that callers use directly. Only entry points may use the
   * environment, arguments and standard streams of the process.
   */
  readonly isEntryPoint?: true;
}

/** The folders of the sources, from the top down. Scripts and tests use this list. */
export const FOLDERS: Readonly<Record<string, Folder>> = {
  cli: { imports: 'all below', isEntryPoint: true },
  workers: { imports: 'all below' },
  remote: { imports: 'all below' },
  docker: { imports: 'all below' },
  api: { imports: 'all below', isEntryPoint: true },
  page: { imports: 'all below' },
  history: { imports: 'all below' },
  images: { imports: 'all below' },
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
  /** The path relative to the checkout. */
  readonly file: string;
  /** The top-level folder. */
  readonly folder: string;
  readonly text: string;
  /** `text` without comments; every line keeps its number. */
  readonly code: string;
  /** The files that it imports, including imports of types and dynamic imports. */
  readonly imports: readonly string[];
  /** `test`: code that only tests run. `program`: a program that tests start as a process. */
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

const TEST_FILES = [
  /\.(?:test|contract|fixture)\.ts$/,
  /-fixture\.ts$/,
  /(?:^|\/)(?:fixture|testing)(?:\/|\.ts$)/,
  /testdata/,
];

function roleOf(file: string): Source['role'] {
  if (/\.child\.ts$|oracle\.ts$/.test(file)) return 'program';
  return TEST_FILES.some((pattern) => pattern.test(file)) ? 'test' : 'product';
}

function importsOf(file: string, text: string): string[] {
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    relative(ROOT, join(ROOT, dirname(file), path)),
  );
}

/** Removes comments. It relies on the formatter: a comment starts a line or follows a blank. */
function withoutComments(text: string): string {
  return text
    .split('\n')
    .map((line) => (isComment(line) ? '' : line.replace(/\s\/\/ .*$/, '')))
    .join('\n');
}

export function isComment(line: string): boolean {
  return /^\s*(?:\/\/|\/\*|\*(?:\s|\/|$))/.test(line);
}
