import { randomOf } from '../../base/testing/random.ts';
import type { GoldenCase } from '../golden/case.ts';
import { context } from './context.ts';
import { instruction } from './instructions.ts';
import { NAMES, value } from './words.ts';

/**
 * A build that was generated from a seed. It has pieces that can be left out one by one, to find
 * those that cause a difference.
 */
export interface Made {
  readonly seed: number;
  /** Instructions with their heredoc bodies. Joined by line breaks they are the Dockerfile. */
  readonly pieces: readonly string[];
  readonly context: Pick<GoldenCase, 'files' | 'modes' | 'links' | 'archives'>;
  readonly args: readonly string[];
}

export function generate(seed: number): Made {
  const random = randomOf(seed);
  const pieces: string[] = [];
  const args: string[] = [];
  if (random.one(12)) pieces.push('# escape=`');
  if (random.one(3)) pieces.push(`ARG ${random.pick(NAMES)}=${value(random)}`);
  const stages: string[] = [];
  const made = context(random);
  for (let left = 1 + (random.one(2) ? 0 : random.int(3)); left > 0; left--) {
    const name = `s${stages.length}`;
    const base =
      random.one(4) && stages.length > 0
        ? random.pick(stages)
        : random.one(10)
          ? random.mostly(
              ['${UNSET:-busybox}', 'busybox:latest', 'docker.io/library/busybox', 'scratch'],
              ['$A', ''],
            )
          : 'busybox';
    pieces.push(
      `FROM ${random.one(10) ? '--platform=$BUILDPLATFORM ' : ''}${base} ` +
        `${random.pick(['AS', 'as'])} ${name}`,
    );
    for (const _ of random.some(1, 6, () => 0))
      pieces.push(instruction(random, { stages, files: made.files }));
    stages.push(name);
  }
  for (const name of NAMES)
    if (random.one(5))
      args.push('--build-arg', `${name}=${random.one(2) ? 'given' : value(random)}`);
  if (random.one(8)) args.push('--target', random.pick(stages));
  if (random.one(8)) args.push('--label', `given=${value(random)}`);
  return { seed, pieces, context: made, args };
}

/** Makes the case that both engines build. */
export function caseOf(made: Made, name: string): GoldenCase {
  return { name, dockerfile: `${made.pieces.join('\n')}\n`, ...made.context, args: made.args };
}
