import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CASES } from './golden/cases.ts';
import { comparable, writeContext } from './golden/prepare.ts';
import { Rig, ROOT, run, testImage } from './rig.ts';

const rig = await Rig.create('busybox');
test.after(() => rig[Symbol.asyncDispose]());

for (const golden of CASES) {
  test(`Docker 28 and Kiln give the same tree and config: ${golden.name}`, async () => {
    const context = rig.path(golden.name);
    writeContext(context, golden);
    const archive = rig.path(`${golden.name}.tar`);
    await rig.kiln(['build', '--progress=plain', '--output', `type=oci,dest=${archive}`, ...(golden.args ?? []), context], {
      expect: 0,
    });
    const tree = await run(
      ['python3', join(ROOT, 'test/tree.py'), archive, '--base', testImage('busybox'), '--platform', 'linux/amd64'],
      { expect: 0 },
    );
    const expected = JSON.parse(readFileSync(join(ROOT, 'test/golden/expected', `${golden.name}.json`), 'utf8'));
    assert.equal(comparable(JSON.parse(tree.stdout)), expected);
  });
}

test.run();
