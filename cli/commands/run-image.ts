import { KilnError } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { runsOn } from '../../base/platformmatch.ts';
import { printable } from '../../base/printable.ts';
import type { ProcessSpec } from '../../executor/executor.ts';
import { programsOn } from '../../executor/find-program.ts';
import { imageProcess } from '../../executor/image-process.ts';
import { createExecutor } from '../../executor/runtime-executor.ts';
import { findImage } from '../../images/find-image.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { imageSources, type SourceImage } from '../../registry/pull.ts';
import { unpackImage } from '../../registry/unpack.ts';
import { type Command, collect, newCommand, parseArguments, suggestValues } from '../arguments.ts';
import { cancelOnSignals } from '../cancel.ts';
import { configuredEmulation } from '../emulation-options.ts';
import { openLocalEngine, stateDirectory } from '../engine.ts';
import { flagError } from '../flag-error.ts';
import { NETWORK_MODES, parseNetwork } from '../flags/hosts.ts';
import { configuredNetwork } from '../network-options.ts';
import { stderr, stdout } from '../output.ts';
import { platformFlag } from '../platform-flag.ts';
import type { Output } from '../progress/view.ts';
import { registryOptions } from '../registry-options.ts';
import { standardStreams } from '../terminal/standard-streams.ts';
import { escapeControls } from '../terminal/text.ts';

/** As in docker, an empty entrypoint means none, and an empty user means the user of the image. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set(['--entrypoint', '--user']);

interface Flags {
  readonly env?: string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly entrypoint?: string;
  readonly network: string;
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly platform?: string;
}

export function declareCommand(): Command {
  const command = newCommand(
    'run',
    'Run a command in a new container from an image, to inspect a result',
  )
    .argument('<image>', 'a name in the local store, or an image ID')
    .argument('[command...]', "the command to run (default: the image's CMD)")
    .option('-e, --env <name=value>', 'set environment variables', collect)
    .option('-w, --workdir <dir>', 'working directory inside the container')
    .option('-u, --user <user>', 'user name or UID (format: <name|uid>[:<group|gid>])')
    .option('--entrypoint <program>', 'overwrite the default ENTRYPOINT of the image')
    .option('--network <mode>', 'set the networking mode: default, none or host', 'default')
    .option('--platform <platform>', 'set the platform of the image')
    .option('-i, --interactive', 'connect standard input')
    .option('-t, --tty', 'connect the terminal')
    .option('--rm', 'no effect: the container is always removed when it exits')
    .passThroughOptions();
  return suggestValues(command, { '--network': NETWORK_MODES });
}

/**
 * `kiln run [-it] [-e K=V] [-w DIR] [-u USER] [--entrypoint PROG] IMAGE [CMD…]`: runs a command in
 * a container and removes the container afterwards. Returns the exit code of the command.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const command = declareCommand();
  if (!parseArguments(command, argv, { passesThrough: true, mayBeEmpty: MAY_BE_EMPTY })) return 0;
  const [name = '', ...args] = command.args;
  const flags = command.opts<Flags>();
  await using engine = openLocalEngine();
  using cancel = cancelOnSignals();
  const image = findImage(engine.images, name);
  const requested = platformFlag(flags.platform, process.env);
  const platform = requested ?? hostPlatform();
  await using sources = imageSources({
    content: engine.content,
    images: engine.images,
    registry: await registryOptions(process.env),
  });
  const source = await sources.resolve(
    image.name.startsWith('sha256:') ? `kiln.local/image@${image.name}` : image.name,
    platform,
    { pull: false, signal: cancel.signal },
  );
  checkPlatform(source, platform, requested !== undefined);
  const snapshot = await unpackImage({ ...engine, sources }, source, cancel.signal);
  await using active = await engine.snapshotter.prepare(snapshot);
  await using executor = createExecutor({
    stateDir: stateDirectory(),
    findProgram: programsOn(process.env['PATH']),
    emulation: configuredEmulation(process.env),
    warn: (sentence) => stderr.write(`WARNING: ${sentence}\n`),
    networkFallback: configuredNetwork(process.env),
  });
  const interactive = flags.interactive === true || flags.tty === true;
  const unread = new AbortController();
  const spec = specOf(source.config, active.root, args, flags);
  if (interactive || stderr.isTTY === true) refuseControls(spec);
  const output = (stream: 1 | 2, data: Uint8Array) => {
    const failure = written(stream === 1 ? stdout : stderr, data);
    if (failure !== undefined) unread.abort(failure);
  };
  try {
    const io = { output, lent: interactive ? standardStreams() : undefined };
    const { exitCode } = await executor.run(
      spec,
      io,
      AbortSignal.any([cancel.signal, unread.signal]),
    );
    if (unread.signal.aborted) throw unread.signal.reason;
    return exitCode;
  } catch (error) {
    if (!unread.signal.aborted) throw error;
    if (stdout.lost !== undefined) return SIGPIPE;
    throw unread.signal.reason;
  }
}

/**
 * The exit code that a shell reports for a program that SIGPIPE ended (128 + 13). A program that
 * writes to the pipe itself would end with it when its reader has gone.
 */
const SIGPIPE = 141;

/**
 * Writes output of the container. Returns why it cannot be written, or undefined. It does not
 * throw, because that would end the loop that reads the output, not the container.
 */
function written(to: Output & { readonly lost?: unknown }, data: Uint8Array): unknown {
  try {
    to.write(data);
    return to.lost === 'unread' ? to.lost : undefined;
  } catch (error) {
    return error;
  }
}

/**
 * Checks that the image runs on `platform`. As in docker, an image for another platform is an error
 * when the user requested a platform, and otherwise a warning.
 */
function checkPlatform(
  { name, config }: SourceImage,
  platform: Platform,
  isRequested: boolean,
): void {
  const own: Platform = {
    os: config.os,
    architecture: config.architecture,
    ...(config.variant && { variant: config.variant }),
  };
  if (runsOn(own, platform)) return;
  const [is, wanted] = [formatPlatform(own), formatPlatform(platform)];
  const what = `${name} is an image for ${is}, not for ${wanted}`;
  if (isRequested)
    throw new KilnError('KILN_PLATFORM_NOT_FOUND', what, {
      hint: `run it with --platform ${is}`,
    });
  stderr.write(`WARNING: ${printable(what)}\n`);
}

/**
 * Refuses names from the image that hold control characters. The runtime writes its errors to the
 * terminal itself, and quotes such names in them.
 */
function refuseControls({ args: [program = ''], cwd }: ProcessSpec): void {
  for (const [what, name, flag] of [
    ['the program', program, '--entrypoint'],
    ['the working directory', cwd, '--workdir'],
  ] as const) {
    if (escapeControls(name) === name && !name.includes('\n')) continue;
    throw new KilnError(
      'KILN_PROCESS_START',
      `${what} ${JSON.stringify(name)} has control characters in its name`,
      { hint: `name another one with ${flag}, or run it without a terminal` },
    );
  }
}

function specOf(
  image: ImageConfig,
  rootfs: string,
  args: readonly string[],
  flags: Flags,
): ProcessSpec {
  const config = image.config ?? {};
  const entrypoint =
    flags.entrypoint === undefined
      ? (config.Entrypoint ?? [])
      : flags.entrypoint === ''
        ? []
        : [flags.entrypoint];
  const command = args.length > 0 ? args : flags.entrypoint === undefined ? (config.Cmd ?? []) : [];
  const spec = imageProcess(rootfs, image);
  const env = new Map(spec.env.map((entry) => [entry.split('=', 1)[0] ?? '', entry]));
  for (const entry of flags.env ?? []) {
    const variable = entry.split('=', 1)[0] ?? '';
    if (variable === '')
      throw flagError('--env', `${JSON.stringify(entry)} has no name`, 'write NAME=value');
    const value = entry.includes('=')
      ? entry
      : process.env[variable] === undefined
        ? undefined
        : `${variable}=${process.env[variable]}`;
    if (value !== undefined) env.set(variable, value);
    else
      stderr.write(
        `WARNING: --env ${variable} has no effect: the environment variable is not set\n`,
      );
  }
  if (flags.tty && !env.has('TERM')) env.set('TERM', `TERM=${process.env['TERM'] ?? 'xterm'}`);
  const words = [...entrypoint, ...command];
  if (words.length === 0)
    throw flagError(
      'IMAGE',
      'no command is given, and the image has none',
      'write it after the image: kiln run IMAGE COMMAND',
    );
  return {
    ...spec,
    args: words,
    env: [...env.values()],
    cwd: flags.workdir ?? spec.cwd,
    user: flags.user || spec.user,
    network: parseNetwork(flags.network),
  };
}
