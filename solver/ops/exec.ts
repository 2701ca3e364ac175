import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { ProcessResult, ProcessSpec } from '../../executor/executor.ts';
import { checkWritten } from '../../snapshotter/layer/reserved.ts';
import type { ActiveSnapshot } from '../../snapshotter/snapshotter.ts';
import type { ExecOp } from '../llb/ops.ts';
import type { BuildResult } from '../result.ts';
import type { Op, RunContext } from '../solver.ts';
import { sessionOf } from '../step-session.ts';
import type { World } from '../world.ts';
import { checkExec } from './exec/checks.ts';
import { inputKeys, keyParts, secretParts } from './exec/key.ts';
import { LastOutput } from './exec/last-output.ts';
import { openMounts } from './exec/mounts.ts';
import { networkOf, processSpec } from './exec/process.ts';

/**
 * A RUN: one process over a root file system, with mounts. The root and every writable mount that
 * is an output become layers; what is mounted only to be read counts by content. `fresh`: the
 * caches that it mounts begin anew (`--no-cache`).
 */
export function execOp(
  op: ExecOp,
  inputCount: number,
  platform: Platform | undefined,
  world: World,
  fresh = false,
): Op<BuildResult> {
  checkExec(op, inputCount, world.allowed);
  return {
    resource: 'process',
    cacheMap: async (_signal, report) => ({
      parts: [...keyParts(op, platform), ...(await secretParts(op, sessionOf(report)))],
      inputs: inputKeys(op, inputCount, world),
      volatile: false,
    }),
    run: (inputs, context) => runExec({ op, platform, fresh }, inputs, world, context),
  };
}

interface Step {
  readonly op: ExecOp;
  readonly platform: Platform | undefined;
  readonly fresh: boolean;
}

async function runExec(
  { op, platform, fresh }: Step,
  inputs: readonly BuildResult[],
  world: World,
  context: RunContext,
): Promise<readonly BuildResult[]> {
  const { signal, vertex } = context;
  const session = sessionOf(context);
  world.executor.warm?.(networkOf(op));
  await using mounts = await openMounts(op, inputs, { world, session, signal, fresh });
  const last = new LastOutput();
  const spec = await processSpec(op, platform, mounts, world, session);
  refuseTooLong(spec);
  const result = await world.executor.run(
    spec,
    {
      output(stream, data) {
        last.push(data);
        context.progress({ kind: 'log', vertex, stream, data, timestamp: Date.now() });
      },
    },
    signal,
  );
  if (result.emulator !== undefined && platform)
    world.onEmulated?.({ vertex, platform, emulator: result.emulator });
  if (result.usage) context.usage?.(result.usage);
  const wanted = op.meta.validExitCodes?.length ? op.meta.validExitCodes : [0];
  if (!wanted.includes(result.exitCode)) {
    // Killed because the build ended: its exit code is no news.
    signal.throwIfAborted();
    await session.onStepFailed?.({ vertex, spec, exitCode: result.exitCode }, signal);
    throw stepFailed(op, result, last, world);
  }
  return await commitOutputs(mounts.outputs, world);
}

async function commitOutputs(
  outputs: readonly ActiveSnapshot[],
  world: World,
): Promise<BuildResult[]> {
  const results: BuildResult[] = [];
  for (const active of outputs) {
    checkWritten(active.upper, active.isPlain);
    const snapshot = await active.commit();
    const layer = snapshot.layers.at(-1);
    if (layer !== undefined) world.onLayer?.(layer);
    results.push({ kind: 'snapshot', snapshot });
  }
  return results;
}

/** What the kernel takes for one argument or variable (MAX_ARG_STRLEN, without the NUL). */
const MAX_ARGUMENT = 131_071;

/**
 * Said before anything runs; what all of them together may take depends on the limits of the step.
 */
function refuseTooLong({
  args,
  env,
  secretEnv = [],
}: Pick<ProcessSpec, 'args' | 'env' | 'secretEnv'>): void {
  const sizes = [
    ...args.map((text) => ['an argument', text] as const),
    ...[...env, ...secretEnv].map((text) => [variable(text), text] as const),
  ];
  for (const [what, text] of sizes) {
    if (text.length * 3 <= MAX_ARGUMENT || Buffer.byteLength(text) <= MAX_ARGUMENT) continue;
    const size = Buffer.byteLength(text);
    throw new KilnError(
      'KILN_PROCESS_START',
      `${what} of the command has ${size} bytes, and the kernel takes ${MAX_ARGUMENT}`,
      {
        hint: 'COPY a long script to a file and run that, or begin a heredoc with #!/bin/sh',
      },
    );
  }
}

function variable(text: string): string {
  return `the variable ${text.slice(0, Math.max(0, text.indexOf('=')))}`;
}

const TOO_LONG = /\bArgument list too long\b/i;

/** BuildKit's sentence, the end of the output, and for what is often met what to do. */
function stepFailed(
  op: ExecOp,
  result: ProcessResult,
  last: LastOutput,
  { limits }: World,
): KilnError {
  const command = op.meta.args.join(' ');
  const killed = result.oomKilled ? ' (it was killed because memory ran out)' : '';
  return new KilnError(
    result.oomKilled ? 'KILN_STEP_OOM' : 'KILN_STEP_FAILED',
    `process ${JSON.stringify(command)} did not complete successfully: exit code: ` +
      `${result.exitCode}${killed}`,
    {
      notes: last.lines(),
      hint:
        hintFor(result, limits?.memory) ??
        (last.lines().some((line) => TOO_LONG.test(line)) ? HINT_TOO_LONG : undefined),
    },
  );
}

const HINT_TOO_LONG =
  'the command and all variables together are more than the kernel takes, as a rule 2 MiB: ' +
  'set fewer or shorter variables, or read them from a file';

function hintFor(
  { exitCode, oomKilled, emulator }: ProcessResult,
  memory: number | undefined,
): string | undefined {
  if (oomKilled && memory !== undefined)
    return (
      `it may use ${Math.floor(memory / 2 ** 20)} MiB: give it more with ` +
      '--memory, or let it use less'
    );
  if (oomKilled)
    return (
      'this machine has too little memory for it: let it use less, or run fewer steps at once ' +
      '(--max-parallelism)'
    );
  if (exitCode === 127)
    return 'the command was not found: is it installed in this stage, and spelled right?';
  if (exitCode === 126)
    return 'the command cannot be run: is it executable, and made for this platform?';
  if (emulator !== undefined)
    return (
      `it ran emulated by ${emulator}, which cannot do everything: FROM ` +
      '--platform=$BUILDPLATFORM runs without, and can compile for TARGETARCH'
    );
  return undefined;
}
