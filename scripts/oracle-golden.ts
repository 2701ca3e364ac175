/**
 * Asks Docker 28 what the golden Dockerfiles of test/golden/cases.ts come to, and freezes its answers in test/golden/expected/:
 *
 *   node scripts/oracle-golden.ts 'COMMAND PREFIX docker' [CASE…]
 *
 * The busybox test image is loaded into the engine first, so that both engines start from the same bytes.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CASES } from '../test/golden/cases.ts';
import { comparable, writeContext } from '../test/golden/prepare.ts';
import { ROOT, testImage } from '../test/rig.ts';

const [prefixText = 'docker', ...only] = process.argv.slice(2);
const prefix = prefixText.split(/\s+/);
const work = mkdtempSync(join(tmpdir(), 'kiln-oracle-'));
const docker = (cwd: string, ...args: string[]) =>
  execFileSync(prefix[0]!, [...prefix.slice(1), ...args], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });

cpSync(testImage('busybox'), join(work, 'busybox.tar'));
docker(work, 'load', '--input', 'busybox.tar');
mkdirSync(join(ROOT, 'test/golden/expected'), { recursive: true });
for (const test of CASES.filter((candidate) => only.length === 0 || only.includes(candidate.name))) {
  // A name of its own: BuildKit updates what it kept of an earlier context of the same name, and forgets times on the way.
  const context = join(work, `${test.name}-${Date.now()}`);
  writeContext(context, test);
  try {
    docker(
      context,
      'build',
      // A cached COPY has the times of the context that it was first made from.
      '--no-cache',
      '--network',
      'host',
      '--provenance=false',
      '--output',
      'type=oci,dest=../out.tar',
      ...(test.args ?? []),
      '.',
    );
  } catch (error) {
    console.error(
      `${test.name}: the engine refuses it: ${error instanceof Error ? error.message.split('\n').slice(-6).join('\n') : error}`,
    );
    continue;
  }
  const output = execFileSync(
    'python3',
    [join(ROOT, 'test/tree.py'), join(work, 'out.tar'), '--base', testImage('busybox'), '--platform', 'linux/amd64'],
    { encoding: 'utf8' },
  );
  writeFileSync(
    join(ROOT, 'test/golden/expected', `${test.name}.json`),
    `${JSON.stringify(comparable(JSON.parse(output)), null, 1)}\n`,
  );
  console.log(test.name);
}
rmSync(work, { recursive: true, force: true });
