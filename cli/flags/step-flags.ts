import type { BuildRequest } from '../../builder/request.ts';
import { checkDeviceName } from '../../executor/cdi/device-name.ts';
import { type Command, collect, parseBytes, splitCsv, suggestValues } from '../arguments.ts';
import { atFlag, flagError } from '../flag-error.ts';
import { ENTITLEMENTS, FS_READ, LOCAL_DELETE, parseEntitlement } from './entitlement.ts';
import type { GivenFlags } from './given-flags.ts';
import { NETWORK_MODES, parseExtraHost, parseNetwork } from './hosts.ts';
import { addLimitFlags, parseLimits } from './limits.ts';
import { parseUlimits } from './ulimits.ts';

/** Adds the flags about how steps run. Those of `docker build` have its names. */
export function addStepFlags(command: Command): Command {
  const step = addLimitFlags(
    command
      .option('--add-host <host:ip>', 'add a custom host-to-IP mapping', collect)
      .option(
        '--allow <entitlement>',
        'allow an extra privileged entitlement: network.host, security.insecure, device, ' +
          'device=NAME, buildx.local.delete or fs.read=DIRECTORY',
        collect,
      )
      .option('--cgroup-parent <path>', 'set the parent cgroup for RUN instructions')
      .option(
        '--device <name>',
        'give RUN instructions a device of this host, by its CDI name (vendor.com/class=name)',
        collect,
      )
      .option(
        '--max-parallelism <count>',
        'maximum number of steps that run at once (default: 4 for each CPU, at least 8)',
      )
      .option(
        '--network <mode>',
        'set the networking mode for RUN instructions: default, none or host',
        'default',
      )
      .option('--shm-size <bytes>', 'shared memory size for RUN instructions, such as 64m')
      .option('--ulimit <type=soft[:hard]>', 'ulimit options, such as nofile=1024:4096', collect)
      .option(
        '-v, --volume <source:target[:ro]>',
        'give RUN instructions a copy of a file or directory of this host; needs --allow ' +
          'fs.read=DIRECTORY',
        collect,
      ),
  );
  return suggestValues(step, {
    '--allow': [...ENTITLEMENTS, 'device=', LOCAL_DELETE, FS_READ],
    '--network': NETWORK_MODES,
  });
}

/**
 * Parses the flags of `addStepFlags`. `warn` is called for a value that another one replaces.
 * Throws KILN_FLAG_VALUE and KILN_DEVICE_NAME.
 */
export function parseStepFlags(
  { list, text }: GivenFlags,
  warn: (sentence: string) => void,
): Partial<BuildRequest> {
  return {
    network: parseNetwork(text('network')),
    extraHosts: list('addHost').flatMap((specs) =>
      splitCsv(specs, '--add-host').map((spec) => parseExtraHost(spec)),
    ),
    shmSize: text('shmSize') === undefined ? 0 : parseBytes(text('shmSize') ?? '', '--shm-size'),
    ulimits: parseUlimits(list('ulimit'), warn),
    cgroupParent: text('cgroupParent') ?? '',
    limits: parseLimits(text, list('resource')),
    allow: list('allow')
      .filter((value) => value !== LOCAL_DELETE && !value.startsWith(FS_READ))
      .map(parseEntitlement),
    devices: list('device').map(checkedDevice),
    parallelism: parallelism(text('maxParallelism')),
  };
}

/** Returns `name`. Throws KILN_DEVICE_NAME when it is not the name of a device. */
function checkedDevice(name: string): string {
  atFlag('--device', () => checkDeviceName(name));
  return name;
}

function parallelism(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1)
    throw flagError('--max-parallelism', `${JSON.stringify(value)} is not a number of steps`);
  return count;
}
