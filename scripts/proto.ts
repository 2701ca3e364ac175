/**
 * Writes api/proto/gen from the messages in api/proto. With --check it writes nothing, and fails
 * when what is there is not what it would write.
 */
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const protos = join(root, 'api/proto');
const generated = join(protos, 'gen');

function generate(into: string): void {
  const template = {
    version: 'v2',
    plugins: [
      {
        local: join(root, 'node_modules/.bin/protoc-gen-es'),
        out: into,
        opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
      },
    ],
  };
  execFileSync(
    join(root, 'node_modules/.bin/buf'),
    ['generate', '--template', JSON.stringify(template), protos],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
}

function texts(directory: string): Map<string, string> {
  const files = globSync(join(directory, '*.ts')).sort();
  return new Map(files.map((path) => [basename(path), readFileSync(path, 'utf8')]));
}

if (process.argv.includes('--check')) {
  const fresh = mkdtempSync(join(tmpdir(), 'kiln-proto-'));
  try {
    generate(fresh);
    const [wanted, found] = [texts(fresh), texts(generated)];
    const names = new Set([...wanted.keys(), ...found.keys()]);
    for (const name of names) {
      if (wanted.get(name) === found.get(name)) continue;
      console.error(`api/proto/gen/${name} is not what api/proto says: run scripts/proto.ts`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
} else {
  rmSync(generated, { recursive: true, force: true });
  generate(generated);
}
