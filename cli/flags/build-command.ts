import { type Command, collect, newCommand, Option, suggestValues } from '../arguments.ts';
import { PROGRESS_MODES } from '../progress/view.ts';
import { METHODS } from './call-spec.ts';
import { ENTITLEMENTS } from './entitlement.ts';
import { NETWORK_MODES } from './hosts.ts';
import { addLimitFlags } from './limits.ts';
import { OUTPUT_TYPES } from './outputs.ts';

/** `kiln build` with all its flags. */
export function declareBuild(): Command {
  return suggestValues(addLimitFlags(buildCommand()), {
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

/**
 * The flags of `docker buildx build`, same names and meaning. Those that only another engine can
 * serve are taken and noted.
 */
function buildCommand(): Command {
  return (
    newCommand('build', 'Build an image from a Dockerfile')
      .argument(
        '<context>',
        'a directory, a URL, or - for a Dockerfile or an archive on standard input',
      )
      .option('--add-host <host:ip>', 'add a host to /etc/hosts in every step', collect)
      .option(
        '--allow <entitlement>',
        'let steps do what they ask for: network.host, security.insecure, device or device=NAME',
        collect,
      )
      .option(
        '--annotation <[target:]name=value>',
        'annotate the manifest; a target in front names another place: index, ' +
          'manifest-descriptor, …',
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
        'ask about the Dockerfile instead of building: check, outline or targets; add ' +
          ',format=json for JSON',
      )
      .option('--check', 'the same as --call=check')
      .addOption(new Option('--builder <name>', 'no effect: Kiln has one builder'))
      .addOption(new Option('--compress', 'no effect: the context is not sent anywhere').hideHelp())
      .addOption(
        new Option(
          '--isolation <technology>',
          'no effect: every step runs in a sandbox',
        ).hideHelp(),
      )
      .addOption(
        new Option('--security-opt <option>', 'no effect: use RUN --security and --allow')
          .argParser(collect)
          .hideHelp(),
      )
      .addOption(new Option('-D, --debug', 'no effect: errors say all that is known').hideHelp())
      .option(
        '--cache-from <source>',
        'read a cache: type=registry,ref=NAME or type=local,src=DIR',
        collect,
      )
      .option(
        '--cache-to <dest>',
        'write the cache: type=registry,ref=NAME or type=local,dest=DIR, with mode=max for ' +
          'all steps; or type=inline',
        collect,
      )
      .option('--cgroup-parent <path>', 'run the steps below this control group')
      .option(
        '--device <name>',
        'give every step a device of this host, by its CDI name: vendor.com/class=name',
        collect,
      )
      .option('-f, --file <path>', 'the Dockerfile (default: Dockerfile in the context)')
      .option('--iidfile <file>', 'write the image ID to a file')
      .option('--label <name=value>', 'set a label of the image', collect)
      .option(
        '--load',
        'put the result into the local store, and into a Docker engine where one runs',
      )
      .option(
        '--max-parallelism <count>',
        'run at most so many steps at once (default: four for each processor, and at least 8)',
      )
      .option('--explain', 'say at the end why each step that ran was not cached')
      .option('--metadata-file <file>', 'write a JSON file that says what was built')
      .option('--network <mode>', 'the network of steps: default, none or host', 'default')
      .option('--no-cache', 'run every step again')
      // flagwords.ts says why it has another name inside.
      .addOption(
        new Option('--nocache-filter <stages>', NO_CACHE_FILTER).argParser(collect).hideHelp(),
      )
      .addHelpText('after', `  --no-cache-filter <stages>  ${NO_CACHE_FILTER}`)
      .option(
        '--on-error <action>',
        'shell: when a step fails, open a shell in its sandbox; needs a terminal',
      )
      .option(
        '-o, --output <spec>',
        `where the result goes: type=${OUTPUT_TYPES.join('|')}, with dest=PATH for files`,
        collect,
      )
      .option(
        '--output-on-error <spec>',
        'DIR,PATH[,PATH...]: when a step fails, copy these paths of its tree into DIR',
      )
      .option(
        '--platform <list>',
        'build for these platforms, such as linux/amd64,linux/arm64',
        collect,
      )
      .addOption(
        new Option(
          '--progress <mode>',
          'how to show progress (default: BUILDKIT_PROGRESS, or auto)',
        ),
      )
      .option(
        '--provenance <value>',
        'attest how the image was made: true, or mode=min|max,version=v1|v0.2',
      )
      .option('--sbom <value>', 'attest which packages are in the image: true')
      .option(
        '--attest <spec>',
        '--provenance and --sbom in full: type=provenance|sbom,NAME=VALUE',
        collect,
      )
      .option('--pull', 'ask registries for newer base images even when the store has them')
      .option('--push', 'the same as --output=type=registry')
      .option('-q, --quiet', 'print only the image ID')
      .option(
        '--secret <spec>',
        'lend steps a secret: id=NAME[,src=FILE|,env=NAME][,invalidate=true]',
        collect,
      )
      .option('--shm-size <bytes>', 'the size of /dev/shm in steps, such as 64m')
      .option(
        '--ssh <spec>',
        'lend steps and git an ssh agent or keys: default, NAME=SOCKET or NAME=KEY[,KEY]',
        collect,
      )
      .option('-t, --tag <name>', 'name the image', collect)
      .option('--target <stage>', 'build this stage (default: the last)')
      .option('--ulimit <type=soft[:hard]>', 'a limit for steps, such as nofile=1024:4096', collect)
      .option('--squash', 'make one layer of all that the build adds to its base image')
      .addOption(
        new Option('--rm', 'no effect: nothing is kept of a step but its result').hideHelp(),
      )
      .addOption(
        new Option('--force-rm', 'no effect: nothing is kept of a step but its result').hideHelp(),
      )
  );
}

/** Flags that are told what is wrong with an empty value; for all others it counts as not given. */
export const MAY_BE_EMPTY: ReadonlySet<string> = new Set([
  '--build-arg',
  '--build-context',
  '--label',
  '--platform',
  '--shm-size',
  '--tag',
]);
