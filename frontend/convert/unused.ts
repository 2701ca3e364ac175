import type { WarningEvent } from '../../base/progress.ts';
import { didYouMean } from '../../base/suggest.ts';
import type { Dockerfile } from '../instructions.ts';

/** Arguments that mean something without an ARG. */
const PREDEFINED =
  /^(?:(?:https?|ftp|no|all)_proxy|source_date_epoch|buildkit_\w+|(?:build|target)(?:platform|os|osversion|arch|variant)|targetstage)$/i;

/** A warning about `--build-arg` names that no ARG of the file declares, as Docker's older builder gave it. */
export function unusedBuildArgs(
  { globalArgs, stages }: Dockerfile,
  buildArgs: ReadonlyMap<string, string>,
): WarningEvent | undefined {
  if (buildArgs.size === 0) return undefined;
  const inStages = stages.flatMap(({ instructions }) => instructions.filter((instruction) => instruction.kind === 'arg'));
  const declared = new Set([...globalArgs, ...inStages].flatMap(({ args }) => args.map(({ key }) => key)));
  const unused = [...buildArgs.keys()].filter((name) => !declared.has(name) && !PREDEFINED.test(name));
  if (unused.length === 0) return undefined;
  return {
    kind: 'warning',
    short: `One or more build-args [${unused.join(' ')}] were not consumed`,
    detail: unused.map((name) => `no ARG of the Dockerfile is named ${name}${didYouMean(name, declared)}`),
  };
}
