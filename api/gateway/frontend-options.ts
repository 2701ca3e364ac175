import { tryParseReference } from '../../base/reference.ts';
import { asSeveral } from '../../builder/export/as-several.ts';
import { type BuildRequest, DOCKERFILE_FRONTEND, IMAGE_FRONTEND } from '../../builder/request.ts';
import { hasLimits, type ResourceLimits } from '../../executor/limits.ts';
import { isUlimit } from '../../executor/rlimits.ts';
import { parseBool } from '../../frontend/convert/goformat.ts';
import { isBuiltIn } from '../../frontend/syntax.ts';
import { parsePlatformForHost } from '../../registry/platforms.ts';
import { attestOf } from './attest-options.ts';
import { cachesOf } from './cache-imports.ts';
import { contextOf, dockerfileOf, namedContextsOf } from './context-options.ts';
import { requireCaps } from './frontend-caps.ts';
import {
  type AskedFrontend,
  type FrontendOptions,
  invalidOption,
  prefixed,
} from './option-maps.ts';

/**
 * Reads the options of a frontend into a request. What they do not say is as in `base`. Options of
 * unknown names are left to frontends that know them, as with BuildKit. Throws KILN_REQUEST_INVALID
 * and KILN_REQUEST_UNSUPPORTED, which name the option.
 */
export function readFrontendOptions(
  { frontend, options, inputs }: AskedFrontend,
  base: BuildRequest,
): BuildRequest {
  const buildArgs = buildArgsOf(options);
  const name = frontendOf(frontend, options);
  const common: BuildRequest = {
    ...base,
    frontend: name,
    frontendOptions: new Map(Object.entries(options)),
    frontendInputs: new Map(
      Object.entries(inputs).map(([input, graph]) => [
        input,
        Buffer.from(graph).toString('base64'),
      ]),
    ),
    target: options['target'] || undefined,
    buildArgs,
    checks: 'buildkit',
    // The client of a user evaluates it.
    policyFile: 'ignored',
    labels: new Map([...prefixed(options, 'label:')].sort(([a], [b]) => (a < b ? -1 : 1))),
    ...resultOptions(options, base),
    cacheFrom: [...base.cacheFrom, ...cachesOf(options, base.cacheFrom)],
  };
  // What the other options mean is for that frontend to say.
  if (name === IMAGE_FRONTEND) return common;
  requireCaps(options);
  const context = contextOf(options, inputs);
  return {
    ...common,
    outputs: isMultiPlatform(options, buildArgs) ? base.outputs.map(asSeveral) : base.outputs,
    context,
    dockerfile: dockerfileOf(options, context, inputs),
    namedContexts: namedContextsOf(options, inputs),
    platforms: platformsOf(options),
    noCache: noCacheOf(options),
    pull: options['image-resolve-mode'] === 'pull',
    network: networkOf(options),
    extraHosts: extraHostsOf(options),
    shmSize: countOf(options, 'shm-size'),
    ulimits: ulimitsOf(options),
    cgroupParent: options['cgroup-parent'] ?? '',
    automounts: [...prefixed(options, 'automount:')]
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([, mount]) => mount),
    limits: limitsOf(options) ?? base.limits,
  };
}

/** The option `hostname` is the argument of that name, which goes before. */
function buildArgsOf(options: FrontendOptions): Map<string, string> {
  const buildArgs = prefixed(options, 'build-arg:');
  const { hostname = '' } = options;
  if (hostname !== '' && !buildArgs.has(HOSTNAME)) buildArgs.set(HOSTNAME, hostname);
  return buildArgs;
}

const HOSTNAME = 'BUILDKIT_SANDBOX_HOSTNAME';

/** Whether a result for one platform is written as one for several. */
function isMultiPlatform(
  options: FrontendOptions,
  buildArgs: ReadonlyMap<string, string>,
): boolean {
  const value = buildArgs.get('BUILDKIT_MULTI_PLATFORM') ?? options['multi-platform'] ?? '';
  return parseBool(value) ?? false;
}

/** What `docker build` calls `--memory`, `--cpu-quota` and so on. */
function limitsOf(options: FrontendOptions): BuildRequest['limits'] {
  const number = (name: string) =>
    options[name] ? countOf(options, name, /^-?\d{1,15}$/) : undefined;
  const limits: ResourceLimits = {
    memory: number('memory'),
    memorySwap: number('memory-swap'),
    cpuShares: number('cpu-shares'),
    cpuPeriod: number('cpu-period'),
    cpuQuota: number('cpu-quota'),
    cpusetCpus: options['cpuset-cpus'] || undefined,
    cpusetMems: options['cpuset-mems'] || undefined,
  };
  return hasLimits(limits) ? limits : undefined;
}

/**
 * What the options say of the result, whoever makes it: attestations and SOURCE_DATE_EPOCH. They
 * are those of the build when a graph comes without a frontend. Throws KILN_REQUEST_INVALID.
 */
export function resultOptions(
  options: FrontendOptions,
  base: Pick<BuildRequest, 'epoch' | 'attest'>,
): Pick<BuildRequest, 'epoch' | 'attest'> {
  return {
    epoch: epochOf(options['build-arg:SOURCE_DATE_EPOCH']) ?? base.epoch,
    attest: attestOf(options) ?? base.attest,
  };
}

/** The built-in frontend takes the place of an image that has the same. */
function frontendOf(frontend: string, options: FrontendOptions): string {
  if (frontend !== IMAGE_FRONTEND) return frontend;
  if (options['source'] === DOCKERFILE_FRONTEND) return DOCKERFILE_FRONTEND;
  const reference = tryParseReference(options['source'] ?? '');
  return reference && isBuiltIn(reference) ? DOCKERFILE_FRONTEND : IMAGE_FRONTEND;
}

/** More platforms than anybody builds for at once. */
const MAX_PLATFORMS = 100;

function platformsOf(options: FrontendOptions): BuildRequest['platforms'] {
  const texts = new Set((options['platform'] ?? '').split(',').filter(Boolean));
  if (texts.size > MAX_PLATFORMS) throw invalidOption('platform', `${texts.size} platforms`);
  return [...texts].map((text) => parsePlatformForHost(text));
}

function noCacheOf(options: FrontendOptions): BuildRequest['noCache'] {
  const value = options['no-cache'];
  if (value === undefined) return 'none';
  return value === '' ? 'all' : value.split(',');
}

function networkOf(options: FrontendOptions): BuildRequest['network'] {
  const value = options['force-network-mode'] ?? '';
  if (value === '' || value === 'default' || value === 'sandbox') return 'default';
  if (value === 'none' || value === 'host') return value;
  throw invalidOption('force-network-mode', value);
}

function extraHostsOf(options: FrontendOptions): BuildRequest['extraHosts'] {
  const value = options['add-hosts'] ?? '';
  return value
    .split(',')
    .filter(Boolean)
    .map((text) => {
      const [, host = '', ip = ''] = /^([^=]+)=(.+)$/.exec(text) ?? [];
      if (host === '' || !/^[0-9a-fA-F.:]+$/.test(ip)) throw invalidOption('add-hosts', text);
      return { host, ip };
    });
}

function ulimitsOf(options: FrontendOptions): BuildRequest['ulimits'] {
  const value = options['ulimit'] ?? '';
  return value
    .split(',')
    .filter(Boolean)
    .map((text) => {
      const [, name = '', soft, hard = soft] = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
      if (soft === undefined || !isUlimit(name)) throw invalidOption('ulimit', text);
      return { name, soft: Number(soft), hard: Number(hard) };
    });
}

function countOf(options: FrontendOptions, name: string, form = /^\d{1,15}$/): number {
  const value = options[name] ?? '0';
  if (!form.test(value)) throw invalidOption(name, value);
  return Number(value);
}

/** What is no number the frontend reads: it may name a context or a stage. */
function epochOf(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}
