import { KilnError } from '../../../base/errors.ts';
import { DEFAULT_PATH } from '../../../base/oci.ts';
import type { Platform } from '../../../base/platform.ts';
import type { ProcessSpec } from '../../../executor/executor.ts';
import { enumName, NET_MODE, SECURITY_MODE } from '../../llb/enums.ts';
import type { ExecOp, ProxyEnv } from '../../llb/exec-op.ts';
import type { StepSession } from '../../step-session.ts';
import type { World } from '../../world.ts';
import { allowedDevices } from './devices.ts';
import type { OpenMounts } from './mounts.ts';
import { secretMissing } from './secret-missing.ts';

const DEFAULT_HOSTNAME = 'buildkitsandbox';

/** The network of a process that `checkExec` has accepted. */
export function networkOf(op: ExecOp): ProcessSpec['network'] {
  return enumName(NET_MODE, op.network) ?? 'default';
}

/**
 * The process of an exec op on its open mounts. Rejects with KILN_SECRET_NOT_FOUND,
 * KILN_PROCESS_START, or with the error of `World.devices`.
 */
export async function processSpec(
  op: ExecOp,
  platform: Platform | undefined,
  mounts: OpenMounts,
  world: World,
  session: StepSession,
): Promise<ProcessSpec> {
  const { meta } = op;
  const requests = [...session.devices, ...allowedDevices(op, session.allowed)];
  const spec: ProcessSpec = {
    rootfs: mounts.root,
    args: meta.args,
    env: [...withPath(meta.env, platform), ...proxyVariables(meta.proxyEnv)],
    secretEnv: await secretVariables(op, session),
    cwd: meta.cwd || '/',
    user: meta.user ?? '',
    hostname: meta.hostname || DEFAULT_HOSTNAME,
    network: networkOf(op),
    security: op.security === SECURITY_MODE.insecure ? 'insecure' : 'sandbox',
    mounts: mounts.specs,
    extraHosts: meta.extraHosts ?? [],
    ulimits: limitsOf(op),
    shmSize: mounts.shmSize,
    cgroupParent: meta.cgroupParent ?? '',
    limits: session.limits,
    devices: requests.length === 0 ? [] : await world.devices?.(requests),
    readonlyRootfs: mounts.readonlyRoot,
    platform,
  };
  refuseTooLong(spec);
  return spec;
}

/**
 * The maximum length of one argument or variable in bytes (the kernel's MAX_ARG_STRLEN, without the
 * NUL).
 */
const MAX_ARGUMENT = 131_071;

/**
 * Throws KILN_PROCESS_START for an argument or variable that the kernel will not accept. How long
 * all of them together may be depends on the limits of the step, and is not checked here.
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
      `${what} of the command has ${size} bytes, more than the kernel allows (${MAX_ARGUMENT})`,
      {
        hint: 'COPY a long script to a file and run that, or start a heredoc with #!/bin/sh',
      },
    );
  }
}

function variable(text: string): string {
  return `the variable ${text.slice(0, Math.max(0, text.indexOf('=')))}`;
}

/**
 * A program that makes graphs leaves PATH to whoever runs them (`exec.meta.setsdefaultpath`). As it
 * follows from the platform, it is not in the key.
 */
function withPath(env: readonly string[], platform: Platform | undefined): readonly string[] {
  const hasPath = env.some((entry) => entry.startsWith('PATH='));
  return hasPath || platform?.os === 'windows' ? env : [...env, DEFAULT_PATH];
}

/**
 * The limits of the process. One that gets secrets writes no core dump, which could end up in a
 * layer, unless the op sets that limit itself.
 */
function limitsOf({ meta, mounts, secretenv = [] }: ExecOp): ProcessSpec['ulimits'] {
  const given = meta.ulimit ?? [];
  const hasSecrets = secretenv.length > 0 || mounts.some(({ secret }) => secret !== undefined);
  return !hasSecrets || given.some(({ name }) => name === 'core')
    ? given
    : [...given, { name: 'core', soft: 0, hard: 0 }];
}

/**
 * The proxy variables in upper and lower case, as BuildKit sets them: programs differ in which they
 * read.
 */
function proxyVariables(proxy: ProxyEnv | undefined): string[] {
  if (!proxy) return [];
  const named: readonly [string, string | undefined][] = [
    ['HTTP_PROXY', proxy.httpProxy],
    ['HTTPS_PROXY', proxy.httpsProxy],
    ['FTP_PROXY', proxy.ftpProxy],
    ['NO_PROXY', proxy.noProxy],
    ['ALL_PROXY', proxy.allProxy],
  ];
  return named.flatMap(([name, value]) =>
    value ? [`${name}=${value}`, `${name.toLowerCase()}=${value}`] : [],
  );
}

async function secretVariables(op: ExecOp, { secret }: StepSession): Promise<string[]> {
  const variables: string[] = [];
  for (const { id, name, optional } of op.secretenv ?? []) {
    const bytes = await secret(id);
    if (!bytes && !optional) throw secretMissing(id);
    // As with BuildKit, an optional secret that is missing is an empty variable, so `set -u` does
    // not fail.
    variables.push(`${name}=${Buffer.from(bytes ?? []).toString('utf8')}`);
  }
  return variables;
}
