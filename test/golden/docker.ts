import { copyFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Ran, run } from '../rig.ts';
import type { Comparable, GoldenCase } from './case.ts';
import { comparable, type Prepared } from './prepare.ts';
import type { TreeReader } from './trees.ts';

/**
 * A Docker engine that runs the same builds. `prefix` is the command line with which `docker` is
 * called. Its current directory is `work`.
 */
export interface DockerEngine {
  load(archive: string): Promise<void>;
  /** Gives an image a name. `forget` removes the name, unless Docker had it before. */
  tag(image: string, name: string): Promise<void>;
  forget(): Promise<void>;
  build(
    prepared: Prepared,
    options: {
      readonly base: string;
      readonly reader: TreeReader;
      readonly golden: Partial<GoldenCase>;
    },
  ): Promise<
    | Comparable
    | Readonly<Record<string, Comparable>>
    | { readonly refused: true; readonly why: string }
  >;
}

export function dockerEngine(prefix: string, work: string): DockerEngine {
  const docker = (
    cwd: string,
    args: readonly string[],
    stdin: string | Uint8Array = '',
    expect?: number,
  ): Promise<Ran> => run([...prefix.split(/\s+/), ...args], { cwd, stdin, expect });
  const given: string[] = [];
  return {
    async load(archive) {
      const copy = join(work, `load-${basename(archive)}`);
      copyFileSync(archive, copy);
      await docker(work, ['load', '--input', basename(copy)], '', 0);
      rmSync(copy);
    },
    async tag(image, name) {
      if ((await docker(work, ['image', 'inspect', name])).code !== 0) given.push(name);
      await docker(work, ['tag', image, name], '', 0);
    },
    async forget() {
      if (given.length > 0) await docker(work, ['rmi', ...given]);
    },
    async build({ cwd, args, stdin }, { base, reader, golden }) {
      const output = [
        'type=oci',
        'dest=docker-out.tar',
        ...(golden.output ? [golden.output] : []),
      ].join(',');
      // A cached COPY would have the times of an earlier context.
      const flags = [
        '--no-cache',
        '--network',
        'host',
        '--provenance=false',
        '--progress=plain',
        '--output',
        output,
      ];
      const ran = await docker(cwd, ['buildx', 'build', ...flags, ...args], stdin);
      if (ran.code !== 0) return { refused: true, why: reasonOf(ran.stderr) };
      const archive = join(cwd, 'docker-out.tar');
      const read = async (platform: string) =>
        comparable(await reader.read(archive, base, platform), golden);
      const { platforms } = golden;
      const answer = platforms
        ? Object.fromEntries(
            await Promise.all(platforms.map(async (one) => [one, await read(one)] as const)),
          )
        : await read('linux/amd64');
      rmSync(archive);
      return answer;
    },
  };
}

/** The last part of an error message, which says the reason. */
function reasonOf(output: string): string {
  const line = output.split('\n').findLast((text) => text.startsWith('ERROR')) ?? output;
  return line.replace(/^.*failed to (solve|build): /, '').replace(/^.*checksum of ref [^ ]*: /, '');
}
