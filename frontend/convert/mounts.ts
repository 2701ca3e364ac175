import type { ExecMount, ExecSpec } from '../../solver/llb/builder.ts';
import type { RunInstruction } from '../instructions.ts';
import { readMount } from './mount-fields.ts';
import { MOUNT_TYPES } from './mount-types.ts';
import { placed } from './placed.ts';
import { noteMount } from './stage-outline.ts';
import type { Step } from './step.ts';

/** The `--mount` flags of a RUN, in order. */
export function lowerMounts(
  step: Step,
  { mounts: flags, range }: RunInstruction,
): Pick<ExecSpec, 'mounts' | 'secretEnv'> {
  const lowered = flags.map((flag, i) => {
    const spec = placed(flag.place, () => readMount(flag, step.expand));
    const { lower, outline } = MOUNT_TYPES[spec.type];
    const found = placed(flag.place, () => lower(spec, step, step.command.sources[i]));
    if (outline) {
      const { [outline.list]: known } = step.stage.node.outline;
      noteMount(known, outline.id(spec), spec.required ?? false, range);
    }
    return found;
  });
  return {
    mounts: lowered.flatMap(({ mount }): readonly ExecMount[] => (mount ? [mount] : [])),
    secretEnv: lowered.flatMap(({ variable }) => variable ?? []),
  };
}
