/**
 * Runs the calls of frontend/call/testdata/cases.ts (`--call=check`, `outline` and `targets`) with
 * Docker 28 and saves its output in answers.json beside it:
 *
 *   node scripts/oracle-calls.ts 'COMMAND PREFIX docker' [CASE…]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CASES } from '../frontend/call/testdata/cases.ts';

const [prefixText = 'docker', ...only] = process.argv.slice(2);
const prefix = prefixText.split(/\s+/);
const file = join(import.meta.dirname, '../frontend/call/testdata/answers.json');
const answers = only.length === 0 ? {} : JSON.parse(readFileSync(file, 'utf8'));
const work = mkdtempSync(join(tmpdir(), 'kiln-oracle-'));

function ask(cwd: string, args: readonly string[]) {
  const { stdout, stderr, status } = spawnSync(
    prefix[0]!,
    [...prefix.slice(1), 'buildx', 'build', '--network=host', ...args, '.'],
    {
      cwd,
      encoding: 'utf8',
    },
  );
  const error = /^ERROR: (?:failed to build: failed to solve: )?(.*)$/m.exec(stderr)?.[1];
  return { stdout, status, ...(error !== undefined && { error }) };
}

for (const { name, dockerfile, ignore, target, buildArgs = {}, calls } of CASES) {
  if (only.length > 0 && !only.includes(name)) continue;
  const context = join(work, `${name}-${Date.now()}`);
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  if (ignore !== undefined) writeFileSync(join(context, '.dockerignore'), ignore);
  const flags = Object.entries(buildArgs).map(([key, value]) => `--build-arg=${key}=${value}`);
  if (target !== undefined) flags.push(`--target=${target}`);
  answers[name] = {};
  for (const call of calls) {
    const text = ask(context, [`--call=${call}`, ...flags]);
    const json = ask(context, [`--call=${call},format=json`, ...flags]);
    const document = json.stdout === '' ? null : JSON.parse(json.stdout);
    // This is the graph that reads the Dockerfile. It contains the id of the session.
    for (const source of document?.sources ?? [])
      if (typeof source === 'object') delete source.definition;
    answers[name][call] = {
      text: text.stdout.replaceAll(/[^\S\n]+$/gm, ''),
      document,
      status: text.status,
      error: text.error,
    };
  }
  console.log(name);
}
rmSync(work, { recursive: true, force: true });
writeFileSync(file, `${JSON.stringify(answers, null, 1)}\n`);
