/**
 * Generates api/proto/NAME.gen.ts for each NAME.proto there. With --check it writes nothing, and
 * fails when a file is stale.
 */
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const protos = join(root, 'api/proto');

/** Returns the texts of the generated files by name. Their names end in `.gen.ts`, as elsewhere. */
function generate(): Map<string, string> {
  const out = mkdtempSync(join(tmpdir(), 'kiln-proto-'));
  try {
    const template = {
      version: 'v2',
      plugins: [
        {
          local: join(root, 'node_modules/.bin/protoc-gen-es'),
          out,
          opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
        },
      ],
    };
    execFileSync(
      join(root, 'node_modules/.bin/buf'),
      ['generate', '--template', JSON.stringify(template), protos],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    const files = globSync(join(out, '*_pb.ts')).sort();
    return new Map(
      files.map((path) => [renamed(basename(path)), renamed(readFileSync(path, 'utf8'))]),
    );
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function renamed(text: string): string {
  return text.replaceAll('_pb.ts', '.gen.ts');
}

const generated = generate();
const found = globSync(join(protos, '*.gen.ts')).map((path) => basename(path));
for (const name of new Set([...generated.keys(), ...found])) {
  const path = join(protos, name);
  const text = generated.get(name);
  if (!process.argv.includes('--check')) {
    if (text === undefined) rmSync(path);
    else writeFileSync(path, text);
  } else if (text === undefined || !found.includes(name) || readFileSync(path, 'utf8') !== text) {
    console.error(`api/proto/${name} is stale: run 'node scripts/proto.ts'`);
    process.exitCode = 1;
  }
}
