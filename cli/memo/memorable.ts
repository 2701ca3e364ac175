import { DOCKERFILE_FRONTEND } from '../../builder/request.ts';
import type { BuildOptions } from '../build-options.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Says whether a memo may be kept of a build with these options: nothing is read or written that a
 * memo does not name. Whatever is not known to be harmless is built in the ordinary way.
 */
export function isMemorable(
  options: BuildOptions,
  argv: readonly string[],
  env: Environment,
): boolean {
  const { request, builder, secrets, ssh, explain, call, onError, outputOnError } = options;
  const { iidFile, metadataFile, progress } = options;
  return (
    argv.every((word) => !word.startsWith('-') || READS_NOTHING.test(word)) &&
    // The address of this host may be another one at the next call.
    !argv.some((word) => word.includes('host-gateway')) &&
    !builder &&
    options.tlsVerify &&
    options.authFile === undefined &&
    !explain &&
    !call &&
    !onError &&
    !outputOnError &&
    iidFile === undefined &&
    metadataFile === undefined &&
    secrets.length + ssh.length === 0 &&
    ['auto', 'plain', 'tty', 'quiet'].includes(progress) &&
    isPlainRequest(request) &&
    !Object.keys(env).some((name) => ASKS_MORE.test(name))
  );
}

/**
 * Flags that only set a value. Others may name a file, whose contents are then part of the options
 * without its name. A value that looks like a flag is none of these.
 */
const READS_NOTHING = new RegExp(
  '^(-[tfq]|--(tag|file|quiet|build-arg|label|annotation|target|progress|platform|root|network|' +
    'add-host|shm-size|ulimit|build-context|output|no-cache))(=.*)?$',
  's',
);

/** Others are told of each build after it (cli/reports/), and labels are asked of git. */
const ASKS_MORE =
  /^(OTEL_|GITHUB_STEP_SUMMARY$|GITLAB_CI$|BUILDX_GIT_|BUILDX_METADATA_|EXPERIMENTAL_BUILDKIT_)/;

function isPlainRequest(request: BuildOptions['request']): boolean {
  const { frontendOptions, frontendInputs, namedContexts, devices, sourcePolicies } = request;
  const { cacheFrom, cacheTo, secretsInKeys, attest, outputs, platforms } = request;
  return (
    request.frontend === DOCKERFILE_FRONTEND &&
    frontendOptions.size + frontendInputs.size === 0 &&
    request.context.kind === 'directory' &&
    request.ignoreFile === undefined &&
    request.volumes.length === 0 &&
    ['default', 'file'].includes(request.dockerfile.kind) &&
    namedContexts.values().every(({ kind }) => kind === 'image') &&
    devices.length + sourcePolicies.length + secretsInKeys.length === 0 &&
    cacheFrom.length + cacheTo.length === 0 &&
    !attest.provenance &&
    !attest.sbom &&
    !request.squash &&
    !request.pull &&
    request.lookUps === 'ask' &&
    platforms.length <= 1 &&
    outputs.every((output) => output.type === 'image' && output.store && !output.push)
  );
}
