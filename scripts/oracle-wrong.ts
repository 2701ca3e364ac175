/**
 * Checks the Dockerfiles of frontend/testdata/wrong.json with Docker 28, and writes Docker's error
 * and its lines into the file:
 *
 *   node scripts/oracle-wrong.ts 'COMMAND PREFIX docker' [NAME…]
 *
 * The errors that Kiln should report are written there by hand.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [prefixText = 'docker', ...only] = process.argv.slice(2);
const prefix = prefixText.split(/\s+/);
const file = join(import.meta.dirname, '../frontend/testdata/wrong.json');
const cases = JSON.parse(readFileSync(file, 'utf8'));
const work = mkdtempSync(join(tmpdir(), 'kiln-oracle-'));
for (const [index, one] of cases.entries()) {
  if (only.length > 0 && !only.includes(one.name)) continue;
  const context = join(work, `wrong-${index}-${process.pid}`);
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), one.dockerfile);
  const flags = one.target === undefined ? [] : [`--target=${one.target}`];
  const args = [...prefix.slice(1), 'buildx', 'build', '--call=check,format=json', ...flags, '.'];
  const { stdout, stderr } = spawnSync(prefix[0]!, args, { cwd: context, encoding: 'utf8' });
  const error = stdout === '' ? undefined : JSON.parse(stdout).buildError;
  const message =
    error?.message ?? /^ERROR: (?:failed to build: failed to solve: )?(.*)$/m.exec(stderr)?.[1];
  const [range] = error?.location?.ranges ?? [];
  one.docker =
    message === undefined ? null : message.replace(/: failed to do request.*?(?= \(did|$)/, '');
  if (range?.start?.line) one.dockerLines = [range.start.line, range.end.line];
  else delete one.dockerLines;
}
rmSync(work, { recursive: true, force: true });
writeFileSync(file, `${JSON.stringify(cases, null, 1)}\n`);
