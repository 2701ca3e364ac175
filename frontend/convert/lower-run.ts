import { KilnError } from '../../base/errors.ts';
import { type ExecMount, type ExecSpec, exec, fileChanges } from '../../solver/llb/builder.ts';
import {
  NET_MODE,
  type NetMode,
  SECURITY_MODE,
  type SecurityMode,
} from '../../solver/llb/enums.ts';
import { compareUtf8 } from '../../solver/llb/wire.ts';
import type { RunInstruction } from '../instructions.ts';
import { overlay } from './args.ts';
import { describe } from './conversion.ts';
import { commit } from './image.ts';
import { lowerMounts } from './mounts.ts';
import { join } from './paths.ts';
import { withShell } from './settings.ts';
import type { StageWork } from './stage.ts';
import type { Step } from './step.ts';
import { heredocSummary, instructionText, nameOfStep } from './step-names.ts';

/** Lowers RUN to one exec on the stage's tree. */
export function lowerRun(step: Step, instruction: RunInstruction): void {
  const { stage, conversion } = step;
  const { request } = conversion;
  // A command may read any file.
  stage.paths.add('/');
  const { args, mounts: script, suffix } = commandOf(stage, instruction);
  const { mounts, secretEnv } = lowerMounts(step, instruction);
  const { state } = stage;
  describe(conversion, state.env.bytes);
  const text = instructionText(
    instruction.original + suffix,
    conversion.words,
    maskSecrets(step, secretEnv),
    'name',
  );
  const tree = exec({
    root: state.tree,
    platform: state.platform,
    args,
    env: state.env,
    cwd: state.dir,
    user: state.user,
    proxyEnv: conversion.proxy,
    extraHosts: request.extraHosts,
    hostname: state.hostname,
    ulimits: request.ulimits.toSorted((a, b) => compareUtf8(a.name, b.name)),
    cgroupParent: request.cgroupParent,
    mounts: [...script, ...mounts, ...sharedMemory(request.shmSize)],
    secretEnv,
    network: networkOf(step, instruction),
    security: securityOf(step, instruction),
    devices: devicesOf(step, instruction),
    note: {
      name: nameOfStep(step, text, state.platform),
      command: instruction.original,
      ignoreCache: stage.node.ignoreCache,
      locations: [instruction.range],
    },
  });
  stage.state = { ...state, tree };
  commit(stage.image, `RUN ${historyText(stage, args)} # buildkit`, true, request.epoch);
}

interface RunCommand {
  readonly args: readonly string[];
  readonly mounts: readonly ExecMount[];
  /** The end of the step's name, after the instruction. */
  readonly suffix: string;
}

const ONLY_HEREDOC = /^\d*<<-?[^<\s]+$/;

function commandOf(stage: StageWork, { command, heredocs }: RunInstruction): RunCommand {
  if (command.form === 'exec') return { args: command.args, mounts: [], suffix: '' };
  const [heredoc] = heredocs;
  if (!heredoc) return { args: withShell(stage, command.text), mounts: [], suffix: '' };
  if (!ONLY_HEREDOC.test(command.text.trim())) {
    // The shell reads the heredocs itself.
    const text = [command.text, ...heredocs.map(({ raw, name }) => raw + name)].join('\n');
    return { args: withShell(stage, text), mounts: [], suffix: '' };
  }
  const suffix = ` (${heredocSummary(heredoc.raw)})`;
  const script = heredoc.content;
  if (stage.image.os === 'windows' || !script.startsWith('#!'))
    return { args: withShell(stage, script), mounts: [], suffix };
  // A script that names its interpreter is written to a file and run.
  const mkfile = {
    path: `/${heredoc.name}`,
    mode: 0o755,
    data: Buffer.from(script),
    timestamp: -1,
  };
  const from = fileChanges(undefined, [{ kind: 'mkfile', mkfile }], {
    name: '[internal] preparing inline document',
  });
  const mount: ExecMount = {
    type: 'bind',
    from,
    dest: '/dev/pipes/',
    selector: '/',
    readonly: true,
  };
  return { args: withShell(stage, join('/dev/pipes/', heredoc.name)), mounts: [mount], suffix };
}

/** Step names show a placeholder for a variable with a secret, not its name. */
function maskSecrets({ stage }: Step, secrets: ExecSpec['secretEnv']) {
  if (secrets.length === 0) return stage.state.env;
  return overlay(stage.state.env, new Map(secrets.map(({ name }) => [name, '****'])));
}

function sharedMemory(size: number): ExecMount[] {
  return size > 0 ? [{ type: 'tmpfs', dest: '/dev/shm', tmpfs: { size } }] : [];
}

function networkOf(step: Step, { network }: RunInstruction): NetMode {
  switch (network && step.expand(network)) {
    case undefined:
    case '':
    case 'default':
      return step.stage.state.network;
    case 'host':
      return NET_MODE.host;
    case 'none':
      return NET_MODE.none;
    default:
      throw new KilnError('KILN_RUN_NETWORK', `RUN --network=${network} is not known`, {
        hint: 'the networks are default, none and host',
      });
  }
}

function securityOf(step: Step, { security }: RunInstruction): SecurityMode {
  switch (security && step.expand(security)) {
    case undefined:
    case '':
    case 'sandbox':
      return SECURITY_MODE.sandbox;
    case 'insecure':
      return SECURITY_MODE.insecure;
    default:
      throw new KilnError('KILN_RUN_SECURITY', `RUN --security=${security} is not known`, {
        hint: 'the modes are sandbox and insecure',
      });
  }
}

/** `--device=name` or `--device=name,required`: a device of the Container Device Interface. */
function devicesOf(step: Step, { devices }: RunInstruction) {
  return devices.map((device) => {
    const [name = '', ...options] = step.expand(device).split(',');
    return { name: name.replace(/^name=/, ''), optional: !options.includes('required') };
  });
}

/** The command as history shows it: `|2 A=1 B=2 /bin/sh -c make`, with the ARGs declared so far. */
function historyText({ buildArgs, state }: StageWork, args: readonly string[]): string {
  const shown = buildArgs
    .entries()
    .map(([key, value]) => `${key}=${state.env.get(key) ?? value ?? ''}`);
  return [...(shown.length > 0 ? [`|${shown.length}`, ...shown] : []), ...args].join(' ');
}
