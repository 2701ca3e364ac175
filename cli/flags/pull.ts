import type { BuildRequest } from '../../builder/request.ts';
import { flagError } from '../flag-error.ts';

type Pull = Pick<BuildRequest, 'pull' | 'lookUps'>;

const ASK: Pull = { pull: false, lookUps: 'ask' };
const ALWAYS: Pull = { pull: true, lookUps: 'ask' };

/** The values of `--pull`: those of docker, where it is a boolean flag, and those of podman. */
const VALUES: Readonly<Record<string, Pull>> = {
  always: ALWAYS,
  newer: ALWAYS,
  missing: { pull: false, lookUps: 'missing' },
  never: { pull: false, lookUps: 'never' },
};

/** The values of `--pull` that shell completion offers. */
export const PULL_WORDS = Object.keys(VALUES);

/** Parses `--pull`. A flag without a value has the value `true`. Throws KILN_FLAG_VALUE. */
export function pullFlag(value: string | undefined): Pull {
  if (value === undefined || /^(?:0|f|F|false|FALSE|False)$/.test(value)) return ASK;
  if (/^(?:1|t|T|true|TRUE|True)$/.test(value)) return ALWAYS;
  if (Object.hasOwn(VALUES, value)) return VALUES[value]!;
  throw flagError(
    '--pull',
    `${JSON.stringify(value)} is not a value of --pull`,
    `write --pull, or --pull= and one of ${PULL_WORDS.join(', ')}`,
  );
}
