import { posix } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { ProcessResult } from '../../executor/executor.ts';
import { checkWritten } from '../../snapshotter/layer/reserved.ts';
import type { ActiveSnapshot } from '../../snapshotter/snapshotter.ts';
import type { ExecOp } from '../llb/exec-op.ts';
import type { BuildResult } from '../result.ts';
import type { Op, RunContext } from '../solver.ts';
import { type LeftResults, type StepSession, sessionOf } from '../step-session.ts';
import type { World } from '../world.ts';
import { checkAllowed, checkExec } from './exec/checks.ts';
import { inputKeys, keyParts, secretParts } from './exec/key.ts';
import { LastOutput } from './exec/last-output.ts';
import { type OpenMounts, openMounts } from './exec/mounts.ts';
import { networkOf, processSpec } from './exec/process.ts';
import { keepingInputs } from './keep-inputs.ts';
import { keepLeft } from './keep-left.ts';

/**
 * The op of a RUN: one process on a root file system, with mounts. The root and every mount that is
 * an output become layers. A mount that is only read counts in the key by its content. If `fresh`
 * (`--no-cache`), the caches that it mounts start empty. Throws KILN_GRAPH_INVALID.
 */
export function execOp(
  op: ExecOp,
  inputCount: number,
  platform: Platform | undefined,
  world: World,
  fresh = false,
): Op<BuildResult> {
  checkExec(op, inputCount);
  return {
    resource: 'process',
    async cacheMap(_signal, report) {
      const session = sessionOf(report);
      checkAllowed(op, session.allowed);
      return {
        parts: [...keyParts(op, platform), ...(await secretParts(op, session))],
        inputs: keepingInputs(inputKeys(op, inputCount, world, session), report),
        volatile: false,
      };
    },
    run: (inputs, context) =>
      runExec({ op: withAbsoluteMounts(op), platform, fresh }, inputs, world, context),
    prepare: () => world.executor.warm?.(networkOf(op)),
  };
}

/** A relative target of a mount is one below the working directory. */
function withAbsoluteMounts(op: ExecOp): ExecOp {
  if (op.mounts.every(({ dest }) => dest.startsWith('/'))) return op;
  const absolute = (dest: string) => posix.resolve('/', op.meta.cwd, dest);
  return { ...op, mounts: op.mounts.map((mount) => ({ ...mount, dest: absolute(mount.dest) })) };
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
  checkAllowed(op, session.allowed);
  await using mounts = await openMounts(op, inputs, { world, session, signal, fresh });
  const last = new LastOutput();
  const made = await processSpec(op, platform, mounts, world, session);
  const spec = session.variables
    ? { ...made, env: [...made.env, ...session.variables(vertex)] }
    : made;
  const running = world.executor.run(
    spec,
    {
      output(stream, data) {
        last.push(data);
        context.progress({ kind: 'log', vertex, stream, data, timestamp: Date.now() });
      },
      warn(short, before) {
        if (session.warnedOf.has(short)) return;
        session.warnedOf.add(short);
        context.progress({ kind: 'warning', short, detail: [], isUrgent: before === 'steps' });
      },
    },
    signal,
  );
  const result = await running.catch((error) => Promise.reject(notStarted(op, error)));
  if (result.emulator !== undefined && platform)
    session.onEmulated?.({ vertex, platform, emulator: result.emulator });
  const { usage, emulator } = result;
  if (usage || emulator !== undefined) context.usage?.({ ...usage, ...(emulator && { emulator }) });
  const wanted = op.meta.validExitCodes?.length ? op.meta.validExitCodes : [0];
  if (!wanted.includes(result.exitCode)) {
    // The process was killed because the build was cancelled: its exit code means nothing.
    signal.throwIfAborted();
    await session.onStepFailed?.({ vertex, spec, exitCode: result.exitCode }, signal);
    const { snapshotter } = world;
    await keepLeft(vertex, session, snapshotter, () => leaveMounts(op, inputs, mounts));
    throw stepFailed(op, result, last, session);
  }
  context.progress({ kind: 'phase', vertex, phase: 'committing', timestamp: Date.now() });
  return await commitOutputs(mounts.outputs, session);
}

/** The mounts of a process that failed, as they were before it and as it left them. */
async function leaveMounts(
  { mounts }: ExecOp,
  inputs: readonly BuildResult[],
  { written }: OpenMounts,
): Promise<LeftResults> {
  const before = mounts.map(({ input }) => (input === -1 ? undefined : inputs[input]));
  const after = [...before];
  for (const [at, mount] of mounts.entries()) {
    const active = written.get(mount);
    if (active) after[at] = await commitWritten(active);
  }
  return { before, after };
}

async function commitOutputs(
  outputs: readonly ActiveSnapshot[],
  { onLayer }: StepSession,
): Promise<BuildResult[]> {
  const results: BuildResult[] = [];
  for (const active of outputs) {
    const result = await commitWritten(active);
    const layer = result.snapshot.layers.at(-1);
    if (layer !== undefined) onLayer?.(layer);
    results.push(result);
  }
  return results;
}

async function commitWritten(active: ActiveSnapshot): Promise<BuildResult & { kind: 'snapshot' }> {
  checkWritten(active.upper, active.isPlain);
  return { kind: 'snapshot', snapshot: await active.commit() };
}

const TOO_LONG = /\bArgument list too long\b/i;

/**
 * The error of a failed step: the same sentence as BuildKit's, the end of the output as notes, and
 * a hint for common causes.
 */
function stepFailed(
  op: ExecOp,
  result: ProcessResult,
  last: LastOutput,
  { limits }: StepSession,
): KilnError {
  const notRun = last
    .lines()
    .map((line) => NOT_EXECUTED.exec(line))
    .find((match) => match !== null);
  if (result.exitCode === 1 && notRun)
    return new KilnError(
      'KILN_PROCESS_START',
      `${failureOf(op)}: cannot start ${op.meta.args[0]}: ${notRun[1]}`,
      { hint: /format/i.test(notRun[1] ?? '') ? HINT_FORMAT : undefined },
    );
  const killed = result.oomKilled ? ' (it was killed because memory ran out)' : '';
  return new KilnError(
    result.oomKilled ? 'KILN_STEP_OOM' : 'KILN_STEP_FAILED',
    `${failureOf(op)}: exit code: ${result.exitCode}${killed}`,
    {
      notes: last.lines(),
      hint:
        hintFor(result, limits?.memory) ??
        (last.lines().some((line) => TOO_LONG.test(line)) ? HINT_TOO_LONG : undefined),
    },
  );
}

/** An error of the executor, which says what was started as the error of a failed step does. */
function notStarted(op: ExecOp, error: unknown): unknown {
  if (!(error instanceof KilnError) || error.code !== 'KILN_PROCESS_START') return error;
  const { code, hint, cause } = error;
  return new KilnError(code, `${failureOf(op)}: ${error.message}`, { hint, cause });
}

function failureOf({ meta }: ExecOp): string {
  return `process ${JSON.stringify(meta.args.join(' '))} did not complete successfully`;
}

/** What crun writes in the place of a program that the kernel does not execute. */
const NOT_EXECUTED = /^\{"msg":"exec container process `.*`: ([^"]+)","level":"error"/;
const HINT_FORMAT =
  'it is no program for this platform: build it for the platform of this step, or begin a script ' +
  'with a #! line';

const HINT_TOO_LONG =
  'the command and all variables together are longer than the kernel allows, usually 2 MiB: ' +
  'set fewer or shorter variables, or read them from a file';

function hintFor(
  { exitCode, oomKilled, emulator }: ProcessResult,
  memory: number | undefined,
): string | undefined {
  if (oomKilled && memory !== undefined)
    return (
      `the step may use ${Math.floor(memory / 2 ** 20)} MiB: give it more with ` +
      '--memory, or make it use less'
    );
  if (oomKilled)
    return (
      'this machine has too little memory for the step: make it use less, or run fewer steps at ' +
      'once (--max-parallelism)'
    );
  if (exitCode === 127)
    return 'the command was not found: is it installed in this stage, and spelled correctly?';
  if (exitCode === 126)
    return 'the command cannot be run: is it executable, and made for this platform?';
  if (emulator !== undefined)
    return (
      `the step ran emulated by ${emulator}, which cannot do everything: a stage FROM ` +
      '--platform=$BUILDPLATFORM runs natively and can cross-compile for TARGETARCH'
    );
  return undefined;
}
