import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { CaseContext } from './case.ts';

const ROOT = join(import.meta.dirname, '..');

/** A project as users have them: a Dockerfile for two stages, sources, dependencies. */
export interface Project {
  readonly name: string;
  readonly title: string;
  readonly image: 'gcc' | 'node';
  /** Writes the project into a context. */
  write(context: CaseContext): void;
  /** Where the project lies in the build stage. */
  readonly home: string;
  /** The source file that is edited, and a line that makes it another one. */
  readonly edited: string;
  line(text: string): string;
  /** What the build stage runs once, and after each edit. */
  readonly setUp: string;
  readonly build: string;
  /** What it makes. */
  readonly product: string;
}

const write = (directory: string, files: Readonly<Record<string, string>>) => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
};

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

const C_FILES = 60;
const FUNCTIONS = 15;

const cFile = (file: number) =>
  `#include "parts.h"\n${numbers(FUNCTIONS)
    .map(
      (index) =>
        `long part_${file}_${index}(long n) {\n  long sum = ${file * index};\n` +
        `  for (long i = 0; i < n; i++) { sum += i * ${index + 1}; ` +
        `if (sum % 7 == ${index % 7}) printf("%ld %s\\n", sum, "part ${file}"); }\n` +
        `  return sum;\n}\n`,
    )
    .join('')}`;

/** A program of 60 files. Objects are kept in a cache mount, so make compiles what was edited. */
export const cProgram: Project = {
  name: 'c',
  title: `a C program of ${C_FILES} files`,
  image: 'gcc',
  home: '/src',
  edited: 'src/part7.c',
  line: (text) => `/* ${text} */\n`,
  setUp: 'true',
  build: 'make OBJ=/obj',
  product: 'app',
  write(context) {
    const id = context.nonce(0);
    write(context.directory, {
      Dockerfile:
        `FROM ${context.base('gcc')} AS build\nWORKDIR /src\nCOPY . .\n` +
        `RUN --mount=type=cache,id=${id},target=/obj ${this.build}\n` +
        'FROM scratch\nCOPY --from=build /src/app /\nENTRYPOINT ["/app"]\n',
      '.dockerignore': 'Dockerfile\n',
      Makefile:
        'OBJ ?= obj\nSOURCES := $(wildcard src/*.c)\n' +
        'app: $(SOURCES:src/%.c=$(OBJ)/%.o)\n\tcc -static -o $@ $^\n' +
        '$(OBJ)/%.o: src/%.c src/parts.h\n\t@mkdir -p $(OBJ)\n\tcc -O2 -c -o $@ $<\n',
      'src/parts.h': `#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n`,
      'src/main.c': '#include "parts.h"\nlong part_7_1(long);\nint main(void) { part_7_1(3); }\n',
    });
    for (const file of numbers(C_FILES))
      write(context.directory, { [`src/part${file}.c`]: cFile(file) });
  },
};

const NPM_FILES = 300;
const DEPENDENCIES = [
  'commander',
  'yaml',
  'undici',
  'lru-cache',
  'smol-toml',
  'fast-check',
  'pure-rand',
  '@bufbuild/protobuf',
];

/** Packs the dependencies out of Kiln's own once, so that npm needs no network. */
function vendored(directory: string): string {
  const vendor = join(directory, 'vendored');
  if (existsSync(join(vendor, 'package-lock.json'))) return vendor;
  mkdirSync(join(vendor, 'vendor'), { recursive: true });
  const npm = (...args: string[]) =>
    execFileSync('npm', args, { cwd: vendor, stdio: ['ignore', 'ignore', 'pipe'] });
  const paths = DEPENDENCIES.map((name) => join(ROOT, 'node_modules', name));
  npm('pack', '--ignore-scripts', '--offline', '--pack-destination', 'vendor', ...paths);
  const dependencies = Object.fromEntries(
    globSync('vendor/*.tgz', { cwd: vendor }).map((path) => {
      const text = basename(path).replace(/-\d+\.\d+\.\d+\.tgz$/, '');
      return [text.replace(/^bufbuild-/, '@bufbuild/'), `file:${path}`];
    }),
  );
  const manifest = { name: 'app', version: '1.0.0', private: true, type: 'module', dependencies };
  const text = JSON.stringify({ ...manifest, scripts: { build: 'node build.js' } });
  writeFileSync(join(vendor, 'package.json'), text);
  npm('install', '--package-lock-only', '--offline', '--ignore-scripts', '--no-audit');
  return vendor;
}

const tsFile = (file: number) =>
  `import { parse } from 'yaml';\n${numbers(20)
    .map(
      (index) =>
        `export function part${index}(text: string): Record<string, number> {\n` +
        `  const found = parse(text) as Record<string, number>;\n` +
        `  return { ...found, file: ${file}, index: ${index} };\n}\n`,
    )
    .join('')}`;

/** Strips the types of all sources and writes one file. */
const BUILD_JS = `import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { stringify } from 'yaml';
const parts = globSync('src/*.ts').sort().map((path) => [path, readFileSync(path, 'utf8')]);
mkdirSync('dist', { recursive: true });
for (const [path, text] of parts)
  writeFileSync('dist/' + path.slice(4, -3) + '.js', stripTypeScriptTypes(text));
writeFileSync('dist/parts.yaml', stringify(parts.map(([path]) => path)));
`;

/** An npm application with eight dependencies and 300 source files. */
export const npmApplication: Project = {
  name: 'npm',
  title: `an npm application of ${NPM_FILES} files`,
  image: 'node',
  home: '/app',
  edited: 'src/part7.ts',
  line: (text) => `// ${text}\n`,
  setUp: 'npm ci --offline --ignore-scripts --no-audit --no-fund',
  build: 'npm run build',
  product: 'dist',
  write(context) {
    const vendor = vendored(dirname(context.directory));
    cpSync(vendor, context.directory, { recursive: true });
    const base = context.base('node');
    write(context.directory, {
      Dockerfile:
        `FROM ${base} AS build\nWORKDIR /app\nCOPY package.json package-lock.json ./\n` +
        `COPY vendor vendor\nRUN ${this.setUp} && : ${context.nonce(0)}\nCOPY . .\n` +
        `RUN ${this.build}\nFROM ${base}\nWORKDIR /app\n` +
        'COPY --from=build /app/node_modules node_modules\nCOPY --from=build /app/dist dist\n' +
        'CMD ["node", "dist/part0.js"]\n',
      '.dockerignore': 'Dockerfile\nnode_modules\n',
      'build.js': BUILD_JS,
    });
    for (const file of numbers(NPM_FILES))
      write(context.directory, { [`src/part${file}.ts`]: tsFile(file) });
  },
};

/** Edits one source file, as somebody does who tries something. */
export function edit(project: Project, directory: string, text: string): void {
  const path = join(directory, project.edited);
  writeFileSync(path, readFileSync(path, 'utf8') + project.line(text));
}
