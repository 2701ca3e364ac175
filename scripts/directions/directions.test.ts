import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { importCycles } from './cycles.ts';
import { wrongImports } from './imports.ts';
import { doubleNames, genericFileNames } from './names.ts';
import { processAccesses } from './process-access.ts';
import { parseSource } from './sources.ts';
import { wideLines, wideLinesOfAll } from './width.ts';

const at = (file: string, ...lines: string[]) => parseSource(file, lines.join('\n'));

test('access to the process is found outside entry points, tests and comments', () => {
  for (const line of [
    "const path = process.env['PATH'];",
    'const { env } = process;',
    "import process from 'node:process';",
    'if (process.stdin.isTTY) ask();',
    'console.log(text);',
    'process.exitCode = 1;',
    'process.exit(1);',
    'writeSync(1, bytes);',
    'const stat = fstatSync(0);',
    "spawn(program, { stdio: ['ignore', 'inherit', 'pipe'] });",
    "const fd = openSync('/dev/stdout', 'w');",
    'const here = process.cwd();',
  ]) {
    assert.is(processAccesses(at('solver/a.ts', line)).length, 1, line);
    assert.equal(processAccesses(at('cli/a.ts', line)), [], `${line} in an entry point`);
    assert.equal(processAccesses(at('solver/a.test.ts', line)), [], `${line} in a test`);
    assert.equal(processAccesses(at('solver/a.ts', `// ${line}`)), [], `${line} in a comment`);
  }
  const path = "import { join, resolve } from 'node:path';";
  assert.is(processAccesses(at('cache/a.ts', path, 'const a = resolve(join(b, c));')).length, 1);
  assert.equal(processAccesses(at('cache/a.ts', path, 'const a = resolve(root, b);')), []);
  assert.equal(
    processAccesses(at('cache/a.ts', 'const a = sources.resolve(b); file.readSync(0, 10);')),
    [],
  );
});

test('a cycle of imports is found, including types and dynamic imports', () => {
  const cycle = [
    at('base/a.ts', "import type { B } from './b.ts';"),
    at('base/b.ts', "const c = await import('./c.ts');"),
    at('base/c.ts', "export { a } from './a.ts';"),
    at('base/d.ts', "import { a } from './a.ts';"),
  ];
  assert.equal(importCycles(cycle), [
    'a cycle of imports: base/a.ts → base/b.ts → base/c.ts → base/a.ts',
  ]);
  assert.equal(importCycles(cycle.slice(1)), []);
});

test('an import that points upwards is found', () => {
  const violation = ['base/a.ts: imports solver/b.ts, but base/ must not depend on it'];
  assert.equal(wrongImports(at('base/a.ts', "import { b } from '../solver/b.ts';")), violation);
  assert.equal(wrongImports(at('solver/a.ts', "import { b } from '../base/b.ts';")), []);
});

test('a name that two files declare is found, a re-exported name is not', () => {
  const one = at('base/a.ts', 'export interface Limits {}');
  assert.is(
    doubleNames([one, at('solver/b.ts', 'type Limits = number;', 'export type { Limits };')])
      .length,
    1,
  );
  assert.is(doubleNames([one, at('solver/b.ts', 'export class Limits {}')]).length, 1);
  assert.equal(
    doubleNames([one, at('solver/b.ts', "export type { Limits } from '../base/a.ts';")]),
    [],
  );
  assert.equal(doubleNames([one, at('solver/b.ts', 'interface Limits {}')]), []);
});

test('a file name that says nothing is found when several folders use it', () => {
  assert.is(genericFileNames([at('base/options.ts'), at('solver/ops/options.ts')]).length, 1);
  assert.equal(genericFileNames([at('base/digest.ts'), at('solver/digest.ts')]), []);
  assert.equal(genericFileNames([at('cli/commands/push.ts'), at('exporter/push.ts')]), []);
});

test('a line of code, comment or template with more than 100 columns is found', () => {
  const words = 'word '.repeat(30);
  for (const line of [`// ${words}`, ` * ${words}`, `const text = '${words}';`, `RUN ${words}`])
    assert.is(wideLines(at('base/a.ts', line)).length, 1, line);
  const url = `https://${'x'.repeat(120)}`;
  assert.is(wideLines(at('base/a.ts', `const url = '${url}';`)).length, 1);
  assert.equal(wideLines(at('base/a.ts', 'x'.repeat(100), 'é'.repeat(100), `// ${url}`)), []);
});

test('wide lines are found in every folder, but not in generated or installed files', () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-width-'));
  try {
    const files = [
      'base/a.ts',
      'cli/b.cts',
      'examples/library/c.ts',
      'kiln',
      'scripts/s.sh',
      'test/golden/d.ts',
    ];
    for (const file of [...files, 'base/e.gen.ts', 'dist/f.ts', 'test/node_modules/g/h.ts']) {
      mkdirSync(join(root, dirname(file)), { recursive: true });
      writeFileSync(join(root, file), 'x'.repeat(101));
    }
    assert.equal(
      wideLinesOfAll(root).map((violation) => violation.split(':')[0]),
      files,
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.run();
