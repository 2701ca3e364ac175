import type { WarningEvent } from '../../base/progress.ts';
import { didYouMean } from '../../base/suggest.ts';
import type { Dockerfile } from '../instructions.ts';

/** Arguments that mean something without an ARG. */
const PREDEFINED =
  /^(?:(?:https?|ftp|no|all)_proxy|source_date_epoch|buildkit_\w+|(?:build|target)(?:platform|os|osversion|arch|variant)|targetstage)$/i;

/**
 * A warning about `--build-arg` names that no ARG of the file declares, as Docker's older builder gave it. `triggers` are the ONBUILDs of
 * the bases, which may declare some too.
 */
export function unusedBuildArgs(
  { globalArgs, stages }: Dockerfile,
  buildArgs: ReadonlyMap<string, string>,
  triggers: readonly string[],
): WarningEvent | undefined {
  if (buildArgs.size === 0) return undefined;
  const instructions = stages.flatMap((stage) => stage.instructions);
  const args = [...globalArgs, ...instructions.filter((instruction) => instruction.kind === 'arg')];
  const deferred = [...triggers, ...instructions.flatMap((one) => (one.kind === 'onbuild' ? [one.expression] : []))];
  const words = deferred.flatMap((text) => /^\s*ARG\s+(.*)$/is.exec(text)?.[1]?.split(/\s+/) ?? []);
  const declared = new Set([
    ...args.flatMap((instruction) => instruction.args.map(({ key }) => key)),
    ...words.map((word) => word.replace(/=.*$/s, '')),
  ]);
  const unused = [...buildArgs.keys()].filter((name) => !declared.has(name) && !PREDEFINED.test(name));
  if (unused.length === 0) return undefined;
  return {
    kind: 'warning',
    short: `One or more build-args [${unused.join(' ')}] were not consumed`,
    detail: unused.map((name) => `no ARG of the Dockerfile is named ${name}${didYouMean(name, declared)}`),
  };
}
