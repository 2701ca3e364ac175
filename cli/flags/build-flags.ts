import { KilnError } from '../../base/errors.ts';
import { formatPlatformInFull, type Platform } from '../../base/platform.ts';
import { parseReference } from '../../base/reference.ts';
import { didYouMean } from '../../base/suggest.ts';
import { isUlimit } from '../../executor/rlimits.ts';
import { hostPlatform, parsePlatformForHost } from '../../registry/platforms.ts';
import { type Command, collect, newCommand, Option, offer, parseArguments, parseBytes } from '../arguments.ts';
import type { BuildOptions, OutputFlag } from '../build-options.ts';
import { PROGRESS_MODES } from '../progress/view.ts';
import { progressMode } from '../progress-mode.ts';
import { annotated } from './annotations.ts';
import { attestFlags } from './attestations.ts';
import { parseCacheFrom, parseCacheTo } from './cache-specs.ts';
import { METHODS, parseCall } from './call-spec.ts';
import { parseFailureOutput } from './failure-output.ts';
import { NETWORK_MODES, parseExtraHost, parseNetwork } from './hosts.ts';
import { addLimitFlags, parseLimits } from './limits.ts';
import { OUTPUT_TYPES, parseOutputFlag } from './outputs.ts';
import { parseSecrets, parseSsh, STDIN } from './secrets.ts';
import { withoutEffect } from './without-effect.ts';

interface Host {
  /** Proxies for steps that are configured for docker, without those that are given; told what is wrong with them. */
  readonly proxies?: (given: ReadonlyMap<string, string>, warn: (sentence: string) => void) => ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdoutIsTerminal: boolean;
  readonly cpus: number;
}

/** `kiln build` with all its flags. */
export function declareBuild(): Command {
  return offer(addLimitFlags(buildCommand()), {
    '--allow': [...ENTITLEMENTS, 'device='],
    '--attest': ['type=provenance', 'type=sbom'],
    '--cache-from': ['type=registry,ref=', 'type=local,src='],
    '--cache-to': ['type=registry,ref=', 'type=local,dest=', 'type=inline'],
    '--call': METHODS,
    '--network': NETWORK_MODES,
    '--on-error': ['shell'],
    '--output': OUTPUT_TYPES.map((type) => `type=${type}`),
    '--progress': PROGRESS_MODES,
    '--provenance': ['true', 'false', 'mode=min', 'mode=max'],
    '--sbom': ['true', 'false'],
  });
}

const NO_CACHE_FILTER = 'run the steps of these stages again';

/** The flags of `docker buildx build`, same names and meaning. Those that only another engine can serve are taken and noted. */
function buildCommand(): Command {
  return (
    newCommand('build', 'Build an image from a Dockerfile')
      .argument('<context>', 'a directory, a URL, or - for a Dockerfile or an archive on standard input')
      .option('--add-host <host:ip>', 'add a host to /etc/hosts in every step', collect)
      .option(
        '--allow <entitlement>',
        'let steps do what they ask for: network.host, security.insecure, device or device=NAME',
        collect,
      )
      .option(
        '--annotation <[target:]name=value>',
        'annotate the manifest; a target in front names another place: index, manifest-descriptor, …',
        collect,
      )
      .option('--build-arg <name=value>', 'set a build argument', collect)
      .option(
        '--build-context <name=path>',
        'add a named context: a directory, a URL, docker-image://NAME or oci-layout://DIRECTORY',
        collect,
      )
      .option(
        '--call <method>',
        'ask about the Dockerfile instead of building: check, outline or targets; add ,format=json for JSON',
      )
      .option('--check', 'the same as --call=check')
      .addOption(new Option('--builder <name>', 'no effect: Kiln has one builder'))
      .addOption(new Option('--compress', 'no effect: the context is not sent anywhere').hideHelp())
      .addOption(new Option('--isolation <technology>', 'no effect: every step runs in a sandbox').hideHelp())
      .addOption(new Option('--security-opt <option>', 'no effect: use RUN --security and --allow').argParser(collect).hideHelp())
      .addOption(new Option('-D, --debug', 'no effect: errors say all that is known').hideHelp())
      .option('--cache-from <source>', 'read a cache: type=registry,ref=NAME or type=local,src=DIR', collect)
      .option(
        '--cache-to <dest>',
        'write the cache: type=registry,ref=NAME or type=local,dest=DIR, with mode=max for all steps; or type=inline',
        collect,
      )
      .option('--cgroup-parent <path>', 'run the steps below this control group')
      .option('--device <name>', 'give every step a device of this host, by its CDI name: vendor.com/class=name', collect)
      .option('-f, --file <path>', 'the Dockerfile (default: Dockerfile in the context)')
      .option('--iidfile <file>', 'write the image ID to a file')
      .option('--label <name=value>', 'set a label of the image', collect)
      .option('--load', 'put the result into the local store, and into a Docker engine where one runs')
      .option('--max-parallelism <count>', 'run at most so many steps at once (default: four for each processor, and at least 8)')
      .option('--explain', 'say at the end why each step that ran was not cached')
      .option('--metadata-file <file>', 'write a JSON file that says what was built')
      .option('--network <mode>', 'the network of steps: default, none or host', 'default')
      .option('--no-cache', 'run every step again')
      // flagwords.ts says why it has another name inside.
      .addOption(new Option('--nocache-filter <stages>', NO_CACHE_FILTER).argParser(collect).hideHelp())
      .addHelpText('after', `  --no-cache-filter <stages>  ${NO_CACHE_FILTER}`)
      .option('--on-error <action>', 'shell: when a step fails, open a shell in its sandbox; needs a terminal')
      .option('-o, --output <spec>', `where the result goes: type=${OUTPUT_TYPES.join('|')}, with dest=PATH for files`, collect)
      .option('--output-on-error <spec>', 'DIR,PATH[,PATH...]: when a step fails, copy these paths of its tree into DIR')
      .option('--platform <list>', 'build for these platforms, such as linux/amd64,linux/arm64', collect)
      .addOption(new Option('--progress <mode>', 'how to show progress (default: BUILDKIT_PROGRESS, or auto)'))
      .option('--provenance <value>', 'attest how the image was made: true, or mode=min|max,version=v1|v0.2')
      .option('--sbom <value>', 'attest which packages are in the image: true')
      .option('--attest <spec>', '--provenance and --sbom in full: type=provenance|sbom,NAME=VALUE', collect)
      .option('--pull', 'ask registries for newer base images even when the store has them')
      .option('--push', 'the same as --output=type=registry')
      .option('-q, --quiet', 'print only the image ID')
      .option('--secret <spec>', 'lend steps a secret: id=NAME[,src=FILE|,env=NAME][,invalidate=true]', collect)
      .option('--shm-size <bytes>', 'the size of /dev/shm in steps, such as 64m')
      .option('--ssh <spec>', 'lend steps and git an ssh agent or keys: default, NAME=SOCKET or NAME=KEY[,KEY]', collect)
      .option('-t, --tag <name>', 'name the image', collect)
      .option('--target <stage>', 'build this stage (default: the last)')
      .option('--ulimit <type=soft[:hard]>', 'a limit for steps, such as nofile=1024:4096', collect)
      .option('--squash', 'make one layer of all that the build adds to its base image')
      .addOption(new Option('--rm', 'no effect: nothing is kept of a step but its result').hideHelp())
      .addOption(new Option('--force-rm', 'no effect: nothing is kept of a step but its result').hideHelp())
  );
}

/** Flags that are told what is wrong with an empty value; for all others it counts as not given. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set([
  '--build-arg',
  '--build-context',
  '--label',
  '--platform',
  '--shm-size',
  '--tag',
]);

interface ParsedFlags {
  readonly options: BuildOptions;
  /** Sentences about what was written and has no effect. */
  readonly warnings: readonly string[];
}

/** Parses `kiln build`'s arguments; undefined when only help was asked for. */
export function parseBuildFlags(argv: readonly string[], host: Host): ParsedFlags | undefined {
  const command = declareBuild();
  const warnings: string[] = [];
  const warn = (sentence: string) => void warnings.push(sentence);
  if (!parseArguments(command, argv, { empty: 'not given', mayBeEmpty: MAY_BE_EMPTY, warn })) return undefined;
  const flags = command.opts<Record<string, unknown>>();
  const list = (name: string) => (flags[name] as string[] | undefined) ?? [];
  const text = (name: string) => flags[name] as string | undefined;
  const buildArgs = namedValues(list('buildArg'), (name) => valueOfHost(name, host.env, warn));
  if (!buildArgs.has('SOURCE_DATE_EPOCH') && host.env['SOURCE_DATE_EPOCH'])
    buildArgs.set('SOURCE_DATE_EPOCH', host.env['SOURCE_DATE_EPOCH']);
  const platforms = list('platform')
    .flatMap((value) => value.split(','))
    .map((value) => value.trim());
  const fallback = host.env['DOCKER_DEFAULT_PLATFORM'];
  if (platforms.length === 0 && fallback) platforms.push(fallback);
  return {
    options: {
      context: command.args[0] ?? '.',
      file: dockerfileFlag(text('file')),
      tags: list('tag').map((name) => asFlag('--tag', () => checkedName(name))),
      target: text('target') || undefined,
      buildArgs,
      proxies: host.proxies?.(buildArgs, warn) ?? new Map(),
      labels: namedValues(list('label'), () => '', '--label'),
      platforms: distinctPlatforms(platforms),
      outputs: annotated(outputs(list('output'), flags, host), list('annotation')),
      noCache: noCache(flags['cache'] === false, list('nocacheFilter')),
      pull: flags['pull'] === true,
      progress: flags['quiet'] ? 'quiet' : progressMode(text('progress'), host.env),
      quiet: flags['quiet'] === true,
      explain: flags['explain'] === true,
      iidFile: text('iidfile'),
      metadataFile: text('metadataFile'),
      network: parseNetwork(text('network')),
      extraHosts: list('addHost').map((spec) => parseExtraHost(spec)),
      secrets: parseSecrets(list('secret'), host.env, { context: command.args[0], file: dockerfileFlag(text('file')) }, warn),
      ssh: list('ssh').map(parseSsh),
      shmSize: flags['shmSize'] === undefined ? 0 : parseBytes(text('shmSize') ?? '', '--shm-size'),
      ulimits: list('ulimit').map(ulimit),
      cgroupParent: text('cgroupParent') ?? '',
      limits: parseLimits(text),
      buildContexts: buildContexts(list('buildContext')),
      allow: list('allow').map(entitlement),
      devices: list('device'),
      epoch: epoch(buildArgs.get('SOURCE_DATE_EPOCH')),
      cacheFrom: parseCacheFrom(list('cacheFrom')),
      cacheTo: cacheTo(list('cacheTo'), buildArgs),
      maxParallelism: parallelism(text('maxParallelism'), host.cpus),
      squash: flags['squash'] === true,
      onError: onError(text('onError')),
      outputOnError: parseFailureOutput(text('outputOnError')),
      call: flags['check'] === true ? parseCall('check') : parseCall(text('call') ?? ''),
      attest: attestFlags(flags),
    },
    warnings: [...warnings, ...withoutEffect(flags, host.env)],
  };
}

/** Standard input under any of its names is one thing: it can be read once. */
function dockerfileFlag(file: string | undefined): string | undefined {
  return file !== undefined && STDIN.includes(file) ? '-' : file;
}

/** What `--build-arg NAME` gets from the environment. */
function valueOfHost(name: string, env: Host['env'], warn: (sentence: string) => void): string | undefined {
  const value = env[name];
  // Scripts name the proxies whether there are any or not.
  if (value === undefined && !/_proxy$/i.test(name))
    warn(`--build-arg ${name} has no effect: it has no value, and no such variable is set`);
  return value;
}

function onError(value: string | undefined): BuildOptions['onError'] {
  if (value === undefined || value === 'shell') return value;
  throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(value)} is nothing that can be done on an error`, {
    place: { kind: 'flag', flag: '--on-error' },
    hint: 'use shell',
    exitCode: 2,
  });
}

/** Each once, under whatever names it was given. */
function distinctPlatforms(names: readonly string[]): Platform[] {
  const parsed = names.map((value) =>
    value === 'local' ? hostPlatform() : asFlag('--platform', () => parsePlatformForHost(value)),
  );
  return [...new Map(parsed.map((platform) => [formatPlatformInFull(platform), platform])).values()];
}

/** What is wrong with a flag's value is a usage error with the flag as its place. */
function asFlag<T>(flag: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw new KilnError(error.code, error.message, { place: { kind: 'flag', flag }, hint: error.hint, exitCode: 2 });
  }
}

function checkedName(name: string): string {
  const reference = parseReference(name);
  if (reference.digest) throw new KilnError('KILN_REFERENCE_INVALID', `a tag cannot have a digest: ${JSON.stringify(name)}`);
  return name;
}

/** `NAME=value`, or `NAME` alone for the value that `alone` has for it (nothing when it has none). */
function namedValues(
  specs: readonly string[],
  alone: (name: string) => string | undefined,
  flag = '--build-arg',
): Map<string, string> {
  const values = new Map<string, string>();
  for (const spec of specs) {
    const equals = spec.indexOf('=');
    const name = equals < 0 ? spec : spec.slice(0, equals);
    if (name === '')
      throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(spec)} has no name`, {
        place: { kind: 'flag', flag },
        hint: 'write NAME=value',
        exitCode: 2,
      });
    const value = equals < 0 ? alone(name) : spec.slice(equals + 1);
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

function outputs(specs: readonly string[], flags: Record<string, unknown>, host: Host): OutputFlag[] {
  const parsed = specs.map((spec) => parseOutputFlag(spec, host.stdoutIsTerminal));
  if (flags['push']) {
    const image = parsed.find((output) => output.type === 'image' || output.type === 'registry');
    if (image)
      return parsed.map((output) =>
        output === image ? { ...output, attributes: new Map([...output.attributes, ['push', 'true']]) } : output,
      );
    parsed.push({ type: 'registry', dest: undefined, attributes: new Map() });
  }
  if (flags['load']) parsed.push({ type: 'docker', dest: undefined, attributes: new Map() });
  return parsed;
}

function buildContexts(specs: readonly string[]): Map<string, string> {
  const contexts = namedValues(specs, () => '', '--build-context');
  for (const [name, value] of contexts)
    if (value === '')
      throw new KilnError('KILN_FLAG_VALUE', `--build-context ${name} does not say where the context is`, {
        place: { kind: 'flag', flag: '--build-context' },
        hint: 'write NAME=VALUE: a directory, docker-image://…, oci-layout://… or a URL',
        exitCode: 2,
      });
  return contexts;
}

const ENTITLEMENTS = ['network.host', 'security.insecure', 'device'];

function entitlement(value: string): string {
  if (ENTITLEMENTS.includes(value.replace(/^device=.+$/, 'device'))) return value;
  throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(value)} is not something that can be allowed`, {
    place: { kind: 'flag', flag: '--allow' },
    hint: `it is one of network.host, security.insecure, device and device=NAME${didYouMean(value, ENTITLEMENTS)}`,
    exitCode: 2,
  });
}

function noCache(all: boolean, filters: readonly string[]): BuildOptions['noCache'] {
  const filter = noCacheFilter(filters);
  if (!all) return filter;
  if (filter === 'none') return 'all';
  throw new KilnError('KILN_USAGE', '--no-cache and --no-cache-filter cannot be used together', {
    place: { kind: 'flag', flag: '--no-cache-filter' },
    hint: '--no-cache alone runs the steps of every stage again',
    exitCode: 2,
  });
}

function noCacheFilter(values: readonly string[]): 'none' | readonly string[] {
  const stages = values
    .flatMap((value) => value.split(','))
    .map((value) => value.trim().toLowerCase())
    .filter((value) => value !== '');
  return stages.length > 0 ? stages : 'none';
}

function ulimit(spec: string): { name: string; soft: number; hard: number } {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(spec);
  if (!match)
    throw new KilnError('KILN_FLAG_VALUE', `invalid ulimit ${JSON.stringify(spec)}`, {
      place: { kind: 'flag', flag: '--ulimit' },
      hint: 'write type=soft[:hard], such as nofile=1024:4096',
      exitCode: 2,
    });
  const soft = Number(match[2]);
  const limit = { name: match[1] ?? '', soft, hard: match[3] === undefined ? soft : Number(match[3]) };
  const why = !isUlimit(limit.name)
    ? `${JSON.stringify(limit.name)} is not a limit`
    : limit.hard >= 0 && (soft < 0 || soft > limit.hard)
      ? 'the soft limit is above the hard one'
      : undefined;
  if (why === undefined) return limit;
  throw new KilnError('KILN_FLAG_VALUE', `invalid ulimit ${JSON.stringify(spec)}: ${why}`, {
    place: { kind: 'flag', flag: '--ulimit' },
    hint: 'write type=soft[:hard], such as nofile=1024:4096',
    exitCode: 2,
  });
}

function epoch(value: string | undefined): number | undefined {
  if (value === undefined || value === '') return undefined;
  if (!/^\d{1,12}$/.test(value))
    throw new KilnError('KILN_EPOCH_INVALID', `SOURCE_DATE_EPOCH is not a number of seconds: ${JSON.stringify(value)}`, {
      hint: 'set it like SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct)',
      exitCode: 2,
    });
  return Number(value);
}

function parallelism(value: string | undefined, cpus: number): number {
  // Many steps wait for the network or sleep: a few more than there are processors keeps them all busy.
  if (value === undefined) return Math.max(8, cpus * 4);
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1)
    throw new KilnError('KILN_FLAG_VALUE', `${JSON.stringify(value)} is not a number of steps`, {
      place: { kind: 'flag', flag: '--max-parallelism' },
      exitCode: 2,
    });
  return count;
}

/** `--cache-to`, and the build argument that buildx takes for it. */
function cacheTo(values: readonly string[], buildArgs: ReadonlyMap<string, string>): BuildOptions['cacheTo'] {
  const specs = parseCacheTo(values);
  const inline = /^(1|t|true)$/i.test(buildArgs.get('BUILDKIT_INLINE_CACHE') ?? '');
  return inline && !specs.some(({ type }) => type === 'inline') ? [...specs, { type: 'inline' }] : specs;
}
