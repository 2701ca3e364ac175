import { KilnError } from '../../base/errors.ts';
import type { GraphOptions, VolumeMount } from '../graph-options.ts';
import type { Dockerfile, MountFlag, StageInstruction } from '../instructions.ts';
import { mountField, splitMount } from '../tokens.ts';
import { readMount } from './mount-fields.ts';

/**
 * The Dockerfile with mounts that every RUN has before its own: automounts, which cannot come from
 * a stage, and volumes. Throws KILN_RUN_MOUNT.
 */
export function withAutomounts(
  dockerfile: Dockerfile,
  { automounts: specs, volumes }: Pick<GraphOptions, 'automounts' | 'volumes'>,
): Dockerfile {
  if (specs.length === 0 && volumes.length === 0) return dockerfile;
  const automounts = [...specs.map(automount), ...volumes.map(volumeMount)];
  const mounting = (instruction: StageInstruction): StageInstruction =>
    instruction.kind === 'run'
      ? { ...instruction, mounts: [...automounts, ...instruction.mounts] }
      : instruction;
  const stages = dockerfile.stages.map((stage) => ({
    ...stage,
    instructions: stage.instructions.map(mounting),
  }));
  return { ...dockerfile, stages };
}

function automount(raw: string): MountFlag {
  try {
    const flag: MountFlag = { raw, fields: splitMount(raw).map(mountField) };
    readMount(flag, (text) => text);
    if (!flag.fields.some(({ key }) => key === 'from')) return flag;
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw new KilnError(error.code, `failed to parse automount ${raw}: ${error.message}`, {
      cause: error,
      hint: error.hint,
    });
  }
  throw new KilnError('KILN_RUN_MOUNT', "automount does not support 'from' option");
}

function volumeMount({ context, source, target, readonly }: VolumeMount): MountFlag {
  const fields = [
    { key: 'from', value: context },
    { key: 'source', value: source },
    { key: 'target', value: target },
    { key: readonly ? 'ro' : 'rw', value: undefined },
  ];
  return { raw: fields.map(({ key, value }) => `${key}=${value ?? ''}`).join(','), fields };
}
