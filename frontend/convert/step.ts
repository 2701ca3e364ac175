import type { StageInstruction } from '../instructions.ts';
import { placeOf } from '../problem.ts';
import { didYouMean } from '../suggest.ts';
import { UndefinedVar } from './checks.ts';
import type { Conversion } from './conversion.ts';
import { lowerCopy } from './copy.ts';
import { placed } from './errors.ts';
import { lowerRun } from './run.ts';
import * as settings from './settings.ts';
import type { Command, StageNode } from './stage.ts';
import type { WordMode } from './words.ts';

/** The lowering of one instruction: what it may look at and change. */
export interface Step {
  readonly conversion: Conversion;
  readonly stage: StageNode;
  readonly command: Command;
  /** Expands a word by the stage's environment; warns of variables that nobody defined. */
  readonly expand: (text: string, mode?: WordMode) => string;
  /** Like `expand`, for a word that may become several or none. */
  readonly expandAll: (text: string) => readonly string[];
}

/** Lowers one instruction: changes the stage's state and image, and adds its line to the history. */
export function lowerStep(conversion: Conversion, stage: StageNode, command: Command): void {
  const { instruction } = command;
  stage.onBuildStep = command.isOnBuild;
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
  placed(placeOf(instruction.range), () => dispatch(step, instruction));
}

function dispatch(step: Step, instruction: StageInstruction): void {
  switch (instruction.kind) {
    case 'run':
      return lowerRun(step, instruction);
    case 'copy':
    case 'add':
      return lowerCopy(step, instruction);
    case 'workdir':
      return settings.lowerWorkdir(step, instruction);
    case 'env':
      return settings.lowerEnv(step, instruction);
    case 'arg':
      return settings.lowerArg(step, instruction);
    case 'label':
      return settings.lowerLabel(step, instruction);
    case 'cmd':
      return settings.lowerCmd(step, instruction);
    case 'entrypoint':
      return settings.lowerEntrypoint(step, instruction);
    case 'healthcheck':
      return settings.lowerHealthcheck(step, instruction);
    case 'expose':
      return settings.lowerExpose(step, instruction);
    case 'user':
      return settings.lowerUser(step, instruction);
    case 'volume':
      return settings.lowerVolume(step, instruction);
    case 'stopsignal':
      return settings.lowerStopsignal(step, instruction);
    case 'shell':
      return settings.lowerShell(step, instruction);
    case 'onbuild':
      return settings.lowerOnbuild(step, instruction);
    case 'maintainer':
      return settings.lowerMaintainer(step, instruction);
    default:
      return instruction satisfies never;
  }
}

function warnUndefined(
  conversion: Conversion,
  stage: StageNode,
  instruction: StageInstruction,
  unmatched: ReadonlySet<string>,
): void {
  const declared = new Set(stage.buildArgs.map((arg) => arg.key));
  for (const name of unmatched) {
    if (declared.has(name)) continue;
    conversion.warn(
      UndefinedVar,
      `Usage of undefined variable '$${name}'${didYouMean(
        `$${name}`,
        [...stage.state.env.keys()].map((k) => `$${k}`),
      )}`,
      instruction.range,
    );
  }
}
