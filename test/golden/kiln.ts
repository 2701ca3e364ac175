import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { Rig, testImage } from '../rig.ts';
import type { Comparable, GoldenCase } from './case.ts';
import { CASES } from './cases.ts';
import { ODD, writeOdd } from './odd.ts';
import { comparable, prepare } from './prepare.ts';
import { TOOLS, writeTools } from './tools.ts';
import { treeReader } from './trees.ts';

/** The result of a case: one image, or one for each platform. */
export type Outcome =
  | Comparable
  | Readonly<Record<string, Comparable>>
  | { readonly refused: true };

export interface GoldenWorld extends AsyncDisposable {
  build(golden: GoldenCase): Promise<Outcome>;
}

/** Makes a store with the base images of all cases, in which Kiln builds the cases. */
export async function goldenWorld(): Promise<GoldenWorld> {
  const rig = await Rig.create('busybox');
  const reader = treeReader();
  const tools = rig.path('tools.tar');
  writeTools(rig.path('tools'));
  await rig.kiln(
    [
      'build',
      '--quiet',
      '-t',
      TOOLS,
      '--output',
      `type=oci,dest=${tools}`,
      '-o',
      'type=image',
      rig.path('tools'),
    ],
    {
      expect: 0,
    },
  );
  for (const name of new Set(CASES.flatMap(({ standsInFor = [] }) => standsInFor)))
    await rig.kiln(['tag', TOOLS, name], { expect: 0 });
  const odd = await loadOdd(rig);
  return {
    async build(golden) {
      const home = rig.path(golden.name);
      mkdirSync(home);
      const { cwd, args, stdin } = prepare(home, golden);
      const archive = rig.path(`${golden.name}.tar`);
      const output = [
        '--output',
        [
          'type=oci',
          'compression=uncompressed',
          `dest=${archive}`,
          ...(golden.output ? [golden.output] : []),
        ].join(','),
      ];
      const ran = await rig.kiln(['build', '--progress=plain', ...output, ...args], { cwd, stdin });
      if (golden.refused && ran.code === 1 && !existsSync(archive)) return { refused: true };
      if (ran.code !== 0)
        throw new Error(`${args.join(' ')} ended with ${ran.code ?? ran.signal}\n${ran.stderr}`);
      const base = { tools, odd, busybox: testImage('busybox') }[golden.base ?? 'busybox'];
      const read = async (platform: string) =>
        comparable(await reader.read(archive, base, platform), golden);
      const { platforms } = golden;
      const outcome = platforms
        ? Object.fromEntries(
            await Promise.all(platforms.map(async (one) => [one, await read(one)] as const)),
          )
        : await read('linux/amd64');
      rmSync(archive);
      return outcome;
    },
    async [Symbol.asyncDispose]() {
      reader[Symbol.dispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}

async function loadOdd(rig: Rig): Promise<string> {
  const [plain, odd] = [rig.path('plain.tar'), rig.path('odd.tar')];
  rig.write('odd', { Dockerfile: 'FROM busybox\n' });
  await rig.kiln(
    ['build', '--quiet', '--output', `type=oci,name=${ODD},dest=${plain}`, rig.path('odd')],
    { expect: 0 },
  );
  writeOdd(plain, rig.path('odd-work'), odd);
  await rig.kiln(['load', '--quiet', '--input', odd], { expect: 0 });
  return odd;
}
