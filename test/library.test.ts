import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ROOT, run } from './rig.ts';

test('the example builds from memory, twice the same, and its archive is valid', async () => {
  const place = mkdtempSync(join(tmpdir(), 'kiln-library-'));
  try {
    const example = [
      process.execPath,
      join(ROOT, 'examples/library/build.ts'),
      'store',
      'hello.tar',
    ];
    const first = await run(example, { cwd: place, env: { SOURCE_DATE_EPOCH: '' }, expect: 0 });
    assert.match(first.stdout, /^hello\.tar holds sha256:[0-9a-f]{64}\n$/);
    const config = JSON.parse(
      execFileSync('skopeo', [
        'inspect',
        '--config',
        `oci-archive:${join(place, 'hello.tar')}:1`,
      ]).toString(),
    );
    assert.equal(config.config.Labels, { 'made.by': 'a program' });
    const second = await run(example, { cwd: place, expect: 0 });
    assert.is(second.stdout, first.stdout);
    // A path that cannot be written is the same error as on the command line.
    const refused = await run([...example.slice(0, 3), 'no/such/hello.tar'], {
      cwd: place,
      expect: 2,
    });
    assert.match(refused.stderr, /\[KILN_OUTPUT_INVALID\]/);
    assert.is(refused.stdout, '');
  } finally {
    rmSync(place, { recursive: true, force: true, maxRetries: 5 });
  }
});

test('with the types of the package a correct program compiles and a wrong one does not', () => {
  const place = mkdtempSync(join(tmpdir(), 'kiln-types-'));
  try {
    execFileSync(process.execPath, [join(ROOT, 'scripts/types.ts')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const installed = join(place, 'node_modules/kiln');
    mkdirSync(installed, { recursive: true });
    for (const part of ['package.json', 'dist'])
      cpSync(join(ROOT, part), join(installed, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules/@types'), join(place, 'node_modules/@types'));
    const compiled = (text: string): string => {
      writeFileSync(join(place, 'program.mts'), text);
      try {
        const flags = [
          '--noEmit',
          '--strict',
          '--module',
          'nodenext',
          '--target',
          'es2024',
          '--lib',
          'es2024,esnext.disposable',
        ];
        execFileSync(
          join(ROOT, 'node_modules/.bin/tsc'),
          [...flags, '--types', 'node', 'program.mts'],
          { cwd: place },
        );
        return '';
      } catch (error) {
        return String((error as { stdout?: Buffer }).stdout);
      }
    };
    const use = (tag: string) =>
      "import { buildRequest, type BuildRequest } from 'kiln';\n" +
      `export const request: BuildRequest = buildRequest({ tags: [${tag}] });\n`;
    assert.is(compiled(use("'app'")), '');
    assert.match(compiled(use('5')), /TS2322/);
    const page = readFileSync(join(ROOT, 'docs/library.md'), 'utf8');
    const programs = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, program = '']) => program);
    assert.ok(programs.length > 2);
    for (const program of programs) assert.is(compiled(program), '', program);
  } finally {
    rmSync(place, { recursive: true, force: true, maxRetries: 5 });
  }
});

test.run();
