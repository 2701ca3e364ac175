import { didYouMean } from '../../base/suggest.ts';
import type { StageInstruction } from '../instructions.ts';
import { placeOf } from '../problem.ts';
import type { Conversion } from './conversion.ts';
import { lowerCopy } from './lower-copy.ts';
import { lowerRun } from './lower-run.ts';
import { inTrigger } from './onbuild.ts';
import { placed } from './placed.ts';
import * as settings from './settings.ts';
import type { LinkedInstruction, StageWork } from './stage.ts';
import type { Step } from './step.ts';

/**
 * Lowers one instruction: changes the stage's state and image, and adds its line to the history.
 */
export function lowerStep(
  conversion: Conversion,
  stage: StageWork,
  command: LinkedInstruction,
): void {
  const { instruction } = command;
  const step: Step = {
    conversion,
    stage,
    command,
    expand: (text, mode = 'plain') => {
      const { result, unmatched } = conversion.words.word(text, stage.state.env, mode);
      warnUndefined(conversion, stage, instruction, unmatched);
      return result;
    },
    expandAll: (text) => conversion.words.words(text, stage.state.env),
  };
  const lower = () => dispatch(step, instruction);
  if (command.isOnBuild) inTrigger(instruction.original, instruction.range, lower);
  else placed(placeOf(instruction.range), lower);
  if (!command.isOnBuild) conversion.reached(instruction.range);
}

type Lower<K extends StageInstruction['kind']> = (
  step: Step,
  instruction: Extract<StageInstruction, { kind: K }>,
) => void;

const LOWER: { readonly [K in StageInstruction['kind']]: Lower<K> } = {
  run: lowerRun,
  copy: lowerCopy,
  add: lowerCopy,
  workdir: settings.lowerWorkdir,
  env: settings.lowerEnv,
  arg: settings.lowerArg,
  label: settings.lowerLabel,
  cmd: settings.lowerCmd,
  entrypoint: settings.lowerEntrypoint,
  healthcheck: settings.lowerHealthcheck,
  expose: settings.lowerExpose,
  user: settings.lowerUser,
  volume: settings.lowerVolume,
  stopsignal: settings.lowerStopsignal,
  shell: settings.lowerShell,
  onbuild: settings.lowerOnbuild,
  maintainer: settings.lowerMaintainer,
};

function dispatch<K extends StageInstruction['kind']>(
  step: Step,
  instruction: Extract<StageInstruction, { kind: K }>,
): void {
  (LOWER[instruction.kind as K] as Lower<K>)(step, instruction);
}

function warnUndefined(
  conversion: Conversion,
  stage: StageWork,
  instruction: StageInstruction,
  unmatched: ReadonlySet<string>,
): void {
  for (const name of unmatched) {
    if (stage.buildArgs.has(name)) continue;
    conversion.warn(
      'UndefinedVar',
      () =>
        'Usage of undefined variable ' +
        `'$${name}'${didYouMean(`$${name}`, prefixed(stage.state.env.keys()))}`,
      instruction.range,
    );
  }
}

function* prefixed(names: Iterable<string>): Generator<string> {
  for (const name of names) yield `$${name}`;
}
