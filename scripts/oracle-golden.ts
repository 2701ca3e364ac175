/**
 * Builds the golden Dockerfiles of test/golden/cases/ with Docker 28 and saves the results in
 * test/golden/expected/:
 *
 *   node scripts/oracle-golden.ts 'COMMAND PREFIX docker' [CASE…]
 *
 * Loads the test images into the engine first, so that Docker and Kiln start from the same bytes.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CASES } from '../test/golden/cases.ts';
import { dockerEngine } from '../test/golden/docker.ts';
import { ODD, writeOdd } from '../test/golden/odd.ts';
import { prepare } from '../test/golden/prepare.ts';
import { TOOLS, writeTools } from '../test/golden/tools.ts';
import { treeReader } from '../test/golden/trees.ts';
import { ROOT, run, testImage } from '../test/rig.ts';

const [prefix = 'docker', ...only] = process.argv.slice(2);
const selected = CASES.filter(
  ({ name, byHand }) => !byHand && (only.length === 0 || only.includes(name)),
);
const work = mkdtempSync(join(tmpdir(), 'kiln-oracle-'));
const expected = join(ROOT, 'test/golden/expected');
const docker = dockerEngine(prefix, work);
using reader = treeReader();
try {
  await docker.load(testImage('busybox'));
  const tools = await loadTools();
  const odd = await loadOdd();
  mkdirSync(expected, { recursive: true });
  for (const golden of selected) {
    const home = join(work, golden.name);
    mkdirSync(home);
    const answer = await docker.build(prepare(home, golden, `-${Date.now()}`), {
      base: { tools, odd, busybox: testImage('busybox') }[golden.base ?? 'busybox'],
      reader,
      golden,
    });
    if ('refused' in answer) {
      console.log(
        `${golden.name}: ` +
          `refused${golden.refused ? '' : ', BUT THE CASE EXPECTS A RESULT'}: ${answer.why}`,
      );
      continue;
    }
    console.log(`${golden.name}${golden.refused ? ': built, BUT THE CASE EXPECTS A REFUSAL' : ''}`);
    if (!golden.refused)
      writeFileSync(join(expected, `${golden.name}.json`), `${JSON.stringify(answer, null, 1)}\n`);
  }
} finally {
  await docker.forget();
  rmSync(work, { recursive: true, force: true });
}

function kiln(...args: string[]) {
  return run([join(ROOT, 'kiln'), ...args], { env: { KILN_ROOT: join(work, 'store') }, expect: 0 });
}

async function loadOdd(): Promise<string> {
  const [plain, archive] = [join(work, 'plain.tar'), join(work, 'odd.tar')];
  mkdirSync(join(work, 'odd'));
  writeFileSync(join(work, 'odd/Dockerfile'), 'FROM busybox\n');
  await kiln(
    'build',
    '--quiet',
    '--output',
    `type=oci,name=${ODD},dest=${plain}`,
    join(work, 'odd'),
  );
  writeOdd(plain, join(work, 'odd-work'), archive);
  await docker.load(archive);
  return archive;
}

/**
 * Builds the image of tools with Kiln, so that both engines have the same bytes, and loads it into
 * Docker under the names that it stands in for. The names are removed at the end.
 */
async function loadTools(): Promise<string> {
  const archive = join(work, 'tools.tar');
  writeTools(join(work, 'tools'));
  await kiln('load', '--quiet', '--input', testImage('busybox'));
  await kiln(
    'build',
    '--quiet',
    '-t',
    TOOLS,
    '--output',
    `type=oci,dest=${archive},name=${TOOLS}`,
    join(work, 'tools'),
  );
  copyFileSync(archive, join(work, 'load.tar'));
  await docker.load(archive);
  for (const name of new Set(selected.flatMap(({ standsInFor = [] }) => standsInFor)))
    await docker.tag(TOOLS, name);
  return archive;
}
