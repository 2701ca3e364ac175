import { KilnError } from '../../base/errors.ts';
import { cleanPath } from '../../base/gopath.ts';
import type { Healthcheck } from '../../base/oci.ts';
import { fileChanges } from '../../solver/llb/builder.ts';
import { checkPort } from '../check/usage-checks.ts';
import type * as ins from '../instructions.ts';
import { parsePorts } from './expose.ts';
import { duration, quoteList } from './goformat.ts';
import { addPorts, addVolumes, commit, setEnv, setLabels } from './image.ts';
import { chownOf, createdTime } from './owner.ts';
import { isAbsolute, workingDirectory } from './paths.ts';
import { SCAN_CONTEXT, SCAN_STAGE } from './scanned.ts';
import { signalNumber } from './signals.ts';
import type { StageWork } from './stage.ts';
import { withEnv } from './stage-state.ts';
import type { Step } from './step.ts';
import { instructionText, nameOfStep } from './step-names.ts';
import { warnDroppedCmd } from './surprises.ts';
import { configDirectory, graphPath } from './windows-paths.ts';

/* The instructions that set values of the image, and WORKDIR, which also makes its directory. */

function remember({ conversion, stage }: Step, createdBy: string, layer = false): void {
  commit(stage.image, createdBy, layer, conversion.request.epoch);
}

export function lowerEnv(step: Step, { entries }: ins.EnvInstruction): void {
  // All values are expanded with the environment before the instruction.
  const pairs = entries.map(({ key, value }) => [step.expand(key), step.expand(value)] as const);
  step.stage.state = withEnv(step.stage.state, pairs);
  for (const [key, value] of pairs) setEnv(step.stage.image, key, value);
  remember(step, ['ENV', ...pairs.map(([key, value]) => `${key}=${value}`)].join(' '));
}

/** SBOM switches are for the builder, not for the commands that it runs. */
const NOT_IN_ENV: ReadonlySet<string> = new Set([SCAN_CONTEXT, SCAN_STAGE]);

export function lowerArg(step: Step, { args, range }: ins.ArgInstruction): void {
  const { stage, conversion } = step;
  const shown: string[] = [];
  for (const { key, value, docComment } of args) {
    const inherited = value === undefined ? conversion.globals.get(key) : undefined;
    const found =
      conversion.request.buildArgs.get(key) ??
      (value === undefined ? inherited : step.expand(value));
    if (found !== undefined && !NOT_IN_ENV.has(key))
      stage.state = withEnv(stage.state, [[key, found]]);
    stage.buildArgs = stage.buildArgs.with(key, found);
    stage.node.outline.used.add(key);
    // An ARG that inherits its value from before the first FROM is that global ARG.
    if (inherited === undefined)
      stage.node.outline.args.set(key, { value: found ?? '', description: docComment, range });
    shown.push(found === undefined ? key : `${key}=${found}`);
  }
  remember(step, `ARG ${shown.join(' ')}`);
}

export function lowerLabel(step: Step, { entries }: ins.LabelInstruction): void {
  const pairs = entries.map(({ key, value }) => [step.expand(key), step.expand(value)] as const);
  setLabels(step.stage.image, pairs);
  remember(step, ['LABEL', ...pairs.map(([key, value]) => `${key}=${value}`)].join(' '));
}

/** Windows has another default shell; all other systems have this one. */
const DEFAULT_SHELL = ['/bin/sh', '-c'];
const WINDOWS_SHELL = ['cmd', '/S', '/C'];

/** The command line that runs `text`. */
export function withShell(stage: StageWork, text: string): string[] {
  const own = stage.image.config.Shell ?? [];
  const shell = own.length > 0 ? own : stage.image.os === 'windows' ? WINDOWS_SHELL : DEFAULT_SHELL;
  return [...shell, text];
}

function commandLine(
  step: Step,
  { command, keyword, range }: ins.CmdInstruction | ins.EntrypointInstruction,
): string[] {
  if (command.form === 'exec') return [...command.args];
  if (!step.stage.image.config.Shell?.length) {
    const message =
      `JSON arguments recommended for ${keyword} to prevent unintended behavior ` +
      'related to OS signals';
    step.conversion.warn('JSONArgsRecommended', message, range);
  }
  return withShell(step.stage, command.text);
}

/** Warns at the earlier of two instructions of which only the last one counts. */
function countOnce(
  { conversion, stage }: Step,
  instruction: ins.CmdInstruction | ins.EntrypointInstruction | ins.HealthcheckInstruction,
): void {
  const earlier = stage.seen.get(instruction.kind);
  if (earlier) {
    const message =
      `Multiple ${instruction.keyword} instructions should not be used in the same stage ` +
      'because only the last one will be used';
    conversion.warn('MultipleInstructionsDisallowed', message, earlier, instruction.range);
  }
  stage.seen.set(instruction.kind, instruction.range);
}

export function lowerCmd(step: Step, instruction: ins.CmdInstruction): void {
  countOnce(step, instruction);
  const args = commandLine(step, instruction);
  step.stage.image.config.Cmd = args;
  step.stage.image.config.ArgsEscaped = true;
  remember(step, `CMD ${quoteList(args)}`);
}

export function lowerEntrypoint(step: Step, instruction: ins.EntrypointInstruction): void {
  warnDroppedCmd(step);
  countOnce(step, instruction);
  const args = commandLine(step, instruction);
  const { config } = step.stage.image;
  config.Entrypoint = args;
  // The base's CMD was written for the base's ENTRYPOINT.
  if (!step.stage.seen.has('cmd')) delete config.Cmd;
  remember(step, `ENTRYPOINT ${quoteList(args)}`);
}

export function lowerHealthcheck(step: Step, instruction: ins.HealthcheckInstruction): void {
  countOnce(step, instruction);
  const {
    test,
    interval = 0,
    timeout = 0,
    startPeriod = 0,
    startInterval = 0,
    retries = 0,
  } = instruction;
  const command =
    test === undefined
      ? ['NONE']
      : test.form === 'exec'
        ? ['CMD', ...test.args]
        : ['CMD-SHELL', test.text];
  const healthcheck: Healthcheck = {
    Test: command,
    ...(interval && { Interval: interval }),
    ...(timeout && { Timeout: timeout }),
    ...(startPeriod && { StartPeriod: startPeriod }),
    ...(startInterval && { StartInterval: startInterval }),
    ...(retries && { Retries: retries }),
  };
  step.stage.image.config.Healthcheck = healthcheck;
  const times =
    `Interval:${duration(interval)} Timeout:${duration(timeout)} ` +
    `StartPeriod:${duration(startPeriod)} StartInterval:${duration(startInterval)}`;
  remember(step, `HEALTHCHECK {Test:[${command.join(' ')}] ${times} Retries:${retries}}`);
}

/** As many as there are: each port of tcp, udp and sctp. */
const MOST_PORTS = 3 * 65_536;

export function lowerExpose(step: Step, { ports, range }: ins.ExposeInstruction): void {
  const specs = ports.flatMap((port) => {
    const expanded = step.expandAll(port);
    const findings = port.includes('$') ? expanded.flatMap((one) => checkPort(one, range)) : [];
    for (const { rule, message } of findings) step.conversion.warn(rule.name, message, range);
    return expanded;
  });
  const found: string[] = [];
  for (const spec of specs) {
    found.push(...parsePorts(spec));
    if (found.length > MOST_PORTS)
      throw new KilnError(
        'KILN_DOCKERFILE_TOO_COMPLEX',
        `EXPOSE names more than ${MOST_PORTS} ports`,
        { hint: 'write each range of ports once' },
      );
  }
  addPorts(step.stage.image, found);
  remember(step, `EXPOSE ${goList(found)}`);
}

/** `%v` of a list. */
function goList(list: readonly string[]): string {
  return `[${list.join(' ')}]`;
}

export function lowerUser(step: Step, instruction: ins.UserInstruction): void {
  const user = step.expand(instruction.user);
  step.stage.state = { ...step.stage.state, user };
  step.stage.image.config.User = user;
  remember(step, `USER ${user}`);
}

export function lowerVolume(step: Step, instruction: ins.VolumeInstruction): void {
  const paths = instruction.paths.map((path) => step.expand(path));
  if (paths.includes(''))
    throw new KilnError('KILN_VOLUME_EMPTY', 'VOLUME needs a path, and one of these is empty');
  addVolumes(step.stage.image, paths);
  remember(step, `VOLUME ${goList(paths)}`);
}

export function lowerStopsignal(step: Step, instruction: ins.StopsignalInstruction): void {
  const signal = step.expand(instruction.signal);
  if (signalNumber(signal) === undefined) {
    throw new KilnError('KILN_STOPSIGNAL', `${JSON.stringify(signal)} is not a signal`, {
      hint: 'write a name such as SIGTERM, or its number',
    });
  }
  step.stage.image.config.StopSignal = signal;
  remember(step, `STOPSIGNAL ${signal}`);
}

export function lowerShell(step: Step, { shell }: ins.ShellInstruction): void {
  step.stage.image.config.Shell = [...shell];
  remember(step, `SHELL ${goList(shell)}`);
}

export function lowerOnbuild({ stage }: Step, { expression }: ins.OnbuildInstruction): void {
  // The triggers of a base have become instructions, so the list holds only this stage's own.
  stage.image.config.OnBuild ??= [];
  stage.image.config.OnBuild.push(expression);
}

export function lowerMaintainer(step: Step, { maintainer }: ins.MaintainerInstruction): void {
  step.stage.image.author = maintainer;
  remember(step, `MAINTAINER ${maintainer}`);
}

/** Makes the directory and its parents, owned by the current USER. `/` always exists. */
export function lowerWorkdir(step: Step, instruction: ins.WorkdirInstruction): void {
  const { stage, conversion } = step;
  const path = graphPath(step.expand(instruction.path), stage.platform);
  if (!stage.workdirSet && !isAbsolute(path)) {
    const message =
      `Relative workdir ${JSON.stringify(path)} can have unexpected results if ` +
      'the base image changes';
    conversion.warn('WorkdirRelativePath', message, instruction.range);
  }
  stage.workdirSet = true;
  setWorkdir(stage, path);
  const { dir, env } = stage.state;
  if (dir === '/') {
    remember(step, `WORKDIR ${dir}`);
    return;
  }
  const text = instructionText(instruction.original, conversion.words, env, 'plain');
  const name = nameOfStep(step, text);
  const mkdir = {
    path: cleanPath(dir),
    mode: 0o755,
    makeParents: true,
    timestamp: createdTime(conversion),
  };
  const owner = stage.image.config.User ? chownOf(stage.image.config.User) : undefined;
  const tree = fileChanges(stage.state.tree, [{ kind: 'mkdir', mkdir, owner }], {
    name,
    locations: [instruction.range],
  });
  stage.state = { ...stage.state, tree };
  remember(step, `WORKDIR ${dir}`, true);
}

/** The longest path that the kernel takes, without the NUL at its end. */
const MAX_PATH = 4095;

export function setWorkdir(stage: StageWork, path: string): void {
  const { platform } = stage;
  const before = graphPath(stage.image.config.WorkingDir ?? '', platform);
  const dir = workingDirectory(before, graphPath(path, platform));
  if (Buffer.byteLength(dir) > MAX_PATH)
    throw new KilnError(
      'KILN_CWD',
      `the working directory is longer than ${MAX_PATH} bytes, which no process can be in`,
      {
        hint: 'begin the path of one of these WORKDIRs with a slash',
      },
    );
  stage.image.config.WorkingDir = configDirectory(dir, platform);
  stage.state = { ...stage.state, dir };
}
