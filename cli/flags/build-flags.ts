import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { formatPlatformInFull, type Platform } from '../../base/platform.ts';
import { parseReference } from '../../base/reference.ts';
import { asSeveral } from '../../builder/export/as-several.ts';
import { type BuildRequest, buildRequest } from '../../builder/request.ts';
import type { OutputSpec } from '../../exporter/output-spec.ts';
import { parseBool } from '../../frontend/convert/goformat.ts';
import { hostPlatform, parsePlatformForHost } from '../../registry/platforms.ts';
import { parseArguments } from '../arguments.ts';
import { booleanVariable } from '../boolean-variable.ts';
import type { BuildOptions, MetadataExtras } from '../build-options.ts';
import { builderAddress } from '../builder-address.ts';
import { atFlag, flagError } from '../flag-error.ts';
import { booleanValue } from '../flagwords.ts';
import { progressMode } from '../progress-mode.ts';
import { attestFlags } from './attestations.ts';
import { buildArgsOfFiles } from './build-arg-files.ts';
import { declareBuild, MAY_BE_EMPTY } from './build-command.ts';
import { parseCacheFrom, parseCacheTo } from './cache-specs.ts';
import { parseCall } from './call-spec.ts';
import { parseContexts } from './contexts.ts';
import { FS_READ, LOCAL_DELETE } from './entitlement.ts';
import { parseFailureOutput } from './failure-output.ts';
import type { GivenFlags, RawFlags } from './given-flags.ts';
import { namedValues } from './named-values.ts';
import { type OutputFlags, parseOutputs } from './outputs.ts';
import { declarePodmanFlag } from './podman-flags.ts';
import { imagesInForm, type Translated, translatePodmanFlags } from './podman-translate.ts';
import { policyElsewhere, policyFlags } from './policy.ts';
import { pullFlag } from './pull.ts';
import { parseSecrets, parseSsh } from './secrets.ts';
import { sourcePolicies } from './source-policy.ts';
import { parseStepFlags } from './step-flags.ts';
import { parseVolumes } from './volumes.ts';
import { warningsWithoutEffect } from './without-effect.ts';

/** What parsing needs to know about this process and host. */
interface Host {
  /**
   * Returns the proxies that docker's configuration sets as build arguments, except those that are
   * in `given`, the user's build arguments.
   */
  readonly proxies?: (
    given: ReadonlyMap<string, string>,
    warn: (sentence: string) => void,
  ) => ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdoutIsTerminal: boolean;
}

interface ParsedFlags {
  readonly options: BuildOptions;
  /** Sentences about flags and variables that have no effect. */
  readonly warnings: readonly string[];
}

/**
 * Parses the arguments and flags of `kiln build`. Returns undefined when the user asked for help,
 * which is then already printed. Throws a KilnError with the flag as its place and exit code 2.
 */
export function parseBuildFlags(argv: readonly string[], host: Host): ParsedFlags | undefined {
  const command = declareBuild();
  const warnings: string[] = [];
  const warn = (sentence: string) => void warnings.push(sentence);
  let isPodman = false;
  const declareMore = (flag: string) => {
    isPodman = true;
    return declarePodmanFlag(command, flag);
  };
  const parsing = { empty: 'ignored', mayBeEmpty: MAY_BE_EMPTY, declareMore, warn } as const;
  if (!parseArguments(command, argv, parsing)) return undefined;
  const given = command.opts<RawFlags>();
  const podman = isPodman ? translatePodmanFlags(given, warn) : undefined;
  const flags = podman?.flags ?? given;
  const has = (name: string) => flags[name] === true;
  const list = (name: string) => (flags[name] as string[] | undefined) ?? [];
  const text = (name: string) => flags[name] as string | undefined;
  const shownContext = command.args[0] ?? '.';
  const { lentPaths, ...contexts } = withVolumes(
    parseContexts(shownContext, text('file'), list('buildContext'), warn),
    { list },
    warn,
  );
  const builder = builderAddress(text('builder'), host.env);
  const secrets = parseSecrets(list('secret'), host.env, contexts, warn);
  const request = buildRequest({
    ...contexts,
    ...resultFlags({ has, list, text }, host, builder ? 'nowhere' : 'store', podman, warn),
    ...parseStepFlags({ has, list, text }, warn),
    ignoreFile: ignoreFile(text('ignorefile'), contexts),
    noCache: noCache(flags['cache'] === false, list('nocacheFilter')),
    attest: attestFlags(flags),
    sourcePolicies: sourcePolicies(host.env),
    ...(list('policy').length > 0 && policyFlags(list('policy'))),
    secretsInKeys: secrets.flatMap(({ id, invalidate }) => (invalidate ? [id] : [])),
  });
  const options: BuildOptions = {
    request,
    shownContext,
    lentPaths,
    builder,
    workers: builder ? [] : workerAddresses(list('workers'), host.env['KILN_WORKERS']),
    workerLabel: text('workerLabel') || undefined,
    workerCacheMounts: workerCacheMounts(text('workerCacheMounts')),
    tlsVerify: tlsVerify(text('tlsVerify')),
    authFile: podman?.authFile,
    secrets,
    ssh: list('ssh').map(parseSsh),
    progress: has('quiet') ? 'quiet' : progressMode(text('progress'), host.env),
    quiet: has('quiet'),
    explain: has('explain') && !builder,
    iidFile: text('iidfile'),
    metadataFile: text('metadataFile'),
    metadata: metadataExtras(host.env, warn),
    onError: onError(text('onError')),
    outputOnError: parseFailureOutput(text('outputOnError')),
    call: callOf(has('check'), parseCall(text('call') ?? '')),
  };
  return {
    options,
    warnings: [
      ...warnings,
      ...warningsWithoutEffect(flags, host.env, request.outputs, builder),
      ...(builder ? policyElsewhere(request, builder.address) : []),
    ],
  };
}

/** Parses the flags about what is built, and where the result and the caches are written. */
function resultFlags(
  { has, list, text }: GivenFlags,
  host: Host,
  otherwise: OutputFlags['otherwise'],
  podman: Translated | undefined,
  warn: (sentence: string) => void,
): Partial<BuildRequest> {
  const alone = (name: string) => environmentValue(name, host.env, warn);
  const files = list('buildArgFile');
  const specs = files.length > 0 ? buildArgsOfFiles(files, list('buildArg')) : list('buildArg');
  const buildArgs = namedValues(specs, { flag: '--build-arg', alone, warn });
  if (buildArgs.get('BUILDKIT_SYNTAX') === '')
    throw flagError(
      '--build-arg',
      'BUILDKIT_SYNTAX is empty, which names no frontend',
      'leave it out, or write --build-arg BUILDKIT_SYNTAX=docker/dockerfile:1',
    );
  if (!buildArgs.has('SOURCE_DATE_EPOCH') && host.env['SOURCE_DATE_EPOCH'])
    buildArgs.set('SOURCE_DATE_EPOCH', host.env['SOURCE_DATE_EPOCH']);
  const tags = list('tag').map((name) => atFlag('--tag', () => checkedName(name)));
  const outputFlags = {
    outputs: list('output'),
    annotations: list('annotation'),
    tags,
    push: has('push'),
    load: has('load'),
    noArtifacts: parseBool(host.env['BUILDX_NO_DEFAULT_OCI_ARTIFACT'] ?? '') ?? false,
    mayDelete: list('allow').includes(LOCAL_DELETE),
    otherwise,
  };
  const outputs = parseOutputs(outputFlags, host.stdoutIsTerminal);
  return {
    tags,
    target: text('target') || undefined,
    buildArgs,
    proxies: proxies(host, buildArgs, podman?.httpProxy, warn),
    labels: namedValues(list('label'), { flag: '--label', alone: () => '', warn }),
    platforms: platforms(list('platform'), host.env['DOCKER_DEFAULT_PLATFORM']),
    outputs: inForm(podman ? imagesInForm(outputs, podman) : outputs, buildArgs),
    ...pullFlag(text('pull')),
    epoch: epoch(buildArgs.get('SOURCE_DATE_EPOCH')),
    cacheFrom: parseCacheFrom(list('cacheFrom')),
    cacheTo: cacheTo(list('cacheTo'), buildArgs),
    squash: has('squash'),
  };
}

/** The outputs, written as for several platforms if BUILDKIT_MULTI_PLATFORM asks for that. */
function inForm(
  outputs: readonly OutputSpec[],
  buildArgs: ReadonlyMap<string, string>,
): readonly OutputSpec[] {
  const asked = buildArgs.get('BUILDKIT_MULTI_PLATFORM');
  return asked !== undefined && parseBool(asked) ? outputs.map(asSeveral) : outputs;
}

/**
 * Returns the build arguments for the proxies: those of docker's configuration. `wanted` is
 * `--http-proxy` of podman: with it they are those of the environment, and without it there are
 * none.
 */
function proxies(
  { env, proxies: configured }: Host,
  given: ReadonlyMap<string, string>,
  wanted: boolean | undefined,
  warn: (sentence: string) => void,
): ReadonlyMap<string, string> {
  if (wanted === undefined) return configured?.(given, warn) ?? new Map();
  const names = wanted
    ? Object.keys(env).filter((name) => /^(?:https?|ftp|no|all)_proxy$/i.test(name))
    : [];
  return new Map(
    names.flatMap((name) => (given.has(name) || !env[name] ? [] : [[name, env[name]]])),
  );
}

/** Returns the value of `--build-arg NAME`, which comes from the environment. */
function environmentValue(
  name: string,
  env: Host['env'],
  warn: (sentence: string) => void,
): string | undefined {
  const value = env[name];
  // Many scripts give all proxy variables, whether they are set or not.
  if (value === undefined && !/_proxy$/i.test(name))
    warn(`--build-arg ${name} has no effect: the environment variable is not set`);
  return value;
}

/** The addresses of `--workers`, or else those of KILN_WORKERS, which blanks separate. */
function workerAddresses(given: readonly string[], variable = ''): readonly string[] {
  return given.length > 0 ? given : variable.split(/\s+/).filter(Boolean);
}

/** `--check` is a short form of `--call=check`. */
function callOf(check: boolean, call: BuildOptions['call']): BuildOptions['call'] {
  if (!check) return call;
  if (call === undefined || call.method === 'check') return call ?? parseCall('check');
  throw new KilnError('KILN_USAGE', `--check and --call=${call.method} cannot be used together`, {
    place: { kind: 'flag', flag: '--call' },
    hint: 'use only one of them',
    exitCode: 2,
  });
}

/** Adds the contexts and mounts of `--volume`. */
function withVolumes(
  contexts: ReturnType<typeof parseContexts>,
  { list }: Pick<GivenFlags, 'list'>,
  warn: (sentence: string) => void,
): ReturnType<typeof parseContexts> & Pick<BuildRequest, 'volumes'> {
  const specs = list('volume');
  const allowed = list('allow').flatMap((value) =>
    value.startsWith(FS_READ) ? [value.slice(FS_READ.length)] : [],
  );
  if (allowed.length > 0 && specs.length === 0)
    warn(`--allow ${FS_READ}… has no effect: only --volume reads other directories of this host`);
  if (specs.length === 0) return { ...contexts, volumes: [] };
  const { volumes, namedContexts, lentPaths } = parseVolumes(specs, allowed, warn);
  return {
    ...contexts,
    volumes,
    namedContexts: new Map([...contexts.namedContexts, ...namedContexts]),
    lentPaths: new Map([...contexts.lentPaths, ...lentPaths]),
  };
}

/** Only a directory has files that an ignore file can leave out. */
function ignoreFile(
  path: string | undefined,
  { context }: Pick<BuildRequest, 'context'>,
): string | undefined {
  if (path === undefined) return undefined;
  if (context.kind === 'directory') return resolve(path);
  throw flagError(
    '--ignorefile',
    '--ignorefile needs a directory as the context',
    'leave it out: an archive and a repository contain only what is meant',
  );
}

/** An unknown value is told, and means the default, as with buildx. */
function metadataExtras(env: Host['env'], warn: (sentence: string) => void): MetadataExtras {
  const mode = env['BUILDX_METADATA_PROVENANCE']?.toLowerCase() ?? '';
  if (!/^(?:|min|max|disabled|false|f|0)$/.test(mode))
    warn(`BUILDX_METADATA_PROVENANCE=${mode} has no effect: write min, max or disabled`);
  return {
    provenance: mode === 'min' || mode === 'max' ? mode : undefined,
    warnings: booleanVariable(env['BUILDX_METADATA_WARNINGS']) === true,
  };
}

function tlsVerify(value: string | undefined): boolean {
  return value === undefined || booleanValue(value, '--tls-verify');
}

function workerCacheMounts(value: string | undefined): boolean | undefined {
  return value === undefined ? undefined : booleanValue(value, '--worker-cache-mounts');
}

function onError(value: string | undefined): BuildOptions['onError'] {
  if (value === undefined || value === 'shell') return value;
  throw flagError(
    '--on-error',
    `${JSON.stringify(value)} is not an action for --on-error`,
    'write --on-error=shell',
  );
}

/**
 * Parses the values of `--platform`, or `fallback` when there are none. Two names of one platform,
 * such as `arm64` and `aarch64`, give it only once.
 */
function platforms(values: readonly string[], fallback: string | undefined): Platform[] {
  const names =
    values.length === 0 && fallback ? [fallback] : values.flatMap((value) => value.split(','));
  const parsed = names
    .map((name) => name.trim())
    .map((name) =>
      name === 'local' ? hostPlatform() : atFlag('--platform', () => parsePlatformForHost(name)),
    );
  return [
    ...new Map(parsed.map((platform) => [formatPlatformInFull(platform), platform])).values(),
  ];
}

function checkedName(name: string): string {
  const reference = parseReference(name);
  if (reference.digest)
    throw new KilnError(
      'KILN_REFERENCE_INVALID',
      `a tag cannot have a digest: ${JSON.stringify(name)}`,
      { hint: `write ${name.split('@')[0]}: the digest follows from what is built` },
    );
  return name;
}

function noCache(all: boolean, filters: readonly string[]): BuildRequest['noCache'] {
  const filter = noCacheFilter(filters);
  if (!all) return filter;
  if (filter === 'none') return 'all';
  throw new KilnError('KILN_USAGE', '--no-cache and --no-cache-filter cannot be used together', {
    place: { kind: 'flag', flag: '--no-cache-filter' },
    hint: 'to run the steps of all stages again, use only --no-cache',
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

/** A word may name a context or a stage that has the time. The frontend knows which there are. */
function epoch(value: string | undefined): number | undefined {
  if (value === undefined || value === '' || /^[a-z_]/i.test(value)) return undefined;
  if (!/^\d{1,12}$/.test(value))
    throw new KilnError(
      'KILN_EPOCH_INVALID',
      `SOURCE_DATE_EPOCH is not a number of seconds: ${JSON.stringify(value)}`,
      {
        hint: 'set it like SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct)',
        exitCode: 2,
      },
    );
  return Number(value);
}

/** Parses `--cache-to`, and the build argument BUILDKIT_INLINE_CACHE, as buildx does. */
function cacheTo(
  values: readonly string[],
  buildArgs: ReadonlyMap<string, string>,
): BuildRequest['cacheTo'] {
  const specs = parseCacheTo(values);
  const inline = /^(1|t|true)$/i.test(buildArgs.get('BUILDKIT_INLINE_CACHE') ?? '');
  return inline && !specs.some(({ type }) => type === 'inline')
    ? [...specs, { type: 'inline' }]
    : specs;
}
