import { type Command, collect, newCommand, Option, suggestValues } from '../arguments.ts';
import { PROGRESS_MODES } from '../progress/view.ts';
import { METHODS } from './call-spec.ts';
import { OUTPUT_TYPES } from './outputs.ts';
import { addPodmanFlags } from './podman-flags.ts';
import { PULL_WORDS } from './pull.ts';
import { addStepFlags } from './step-flags.ts';

/** Declares `kiln build` with all its flags. */
export function declareBuild(): Command {
  const command = sortFlags(addStepFlags(buildCommand()));
  return suggestValues(command, {
    '--attest': ['type=provenance', 'type=sbom'],
    '--cache-from': ['type=registry,ref=', 'type=local,src='],
    '--cache-to': ['type=registry,ref=', 'type=local,dest=', 'type=inline'],
    '--call': METHODS,
    '--on-error': ['shell'],
    '--output': OUTPUT_TYPES.map((type) => `type=${type}`),
    '--progress': PROGRESS_MODES,
    '--pull': PULL_WORDS,
    '--provenance': ['true', 'false', 'mode=min', 'mode=max'],
    '--sbom': ['true', 'false'],
  });
}

/** The same with the flags that a command line without them does not load (podman-flags.ts). */
export function declareWithRare(): Command {
  return sortFlags(addPodmanFlags(declareBuild()));
}

/** Sorts the flags by name, as docker's help has them, wherever they are declared. */
function sortFlags(command: Command): Command {
  const [root, ...flags] = command.options as Option[];
  const name = ({ long }: Option) => long ?? '';
  flags.sort((a, b) => (name(a) < name(b) ? -1 : 1));
  (command.options as Option[]).splice(0, Infinity, root!, ...flags);
  return command;
}

const NO_CACHE_FILTER = 'do not cache specified stages';

/**
 * Declares the flags of `docker buildx build`, with the same names and meaning, and Kiln's own.
 * Flags that make no sense for Kiln are accepted, with a warning (without-effect.ts).
 */
function buildCommand(): Command {
  return (
    newCommand('build', 'Build an image from a Dockerfile')
      .argument(
        '<context>',
        'a directory, a URL, or - for a Dockerfile or an archive on standard input',
      )
      .option(
        '--annotation <[target:]name=value>',
        'add an annotation to the image; target: manifest (default), index, ' +
          'manifest-descriptor or index-descriptor',
        collect,
      )
      .option('--build-arg <name=value>', 'set build-time variables', collect)
      .option('--build-arg-file <file>', 'read build-time variables from lines name=value', collect)
      .option(
        '--build-context <name=path>',
        'additional build context: a directory, a URL, docker-image://NAME or ' +
          'oci-layout://DIRECTORY',
        collect,
      )
      .option(
        '--call <method>',
        'set method for evaluating build: check, outline or targets (with ,format=json for JSON)',
      )
      .option('--check', 'shorthand for --call=check')
      .option(
        '--policy <options>',
        'disabled=true builds without the policy Dockerfile.rego, which Kiln cannot evaluate; ' +
          'filename=, reset=, strict= and log-level= are those of buildx',
        collect,
      )
      .option(
        '--builder <address>',
        'build at a server of the API of BuildKit: unix://PATH, tcp://HOST:PORT, ' +
          'docker-container://NAME or ssh://HOST (default: BUILDX_BUILDER or BUILDKIT_HOST)',
      )
      .addOption(
        new Option('--compress', 'no effect: the context is not sent to a daemon').hideHelp(),
      )
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
      .addOption(new Option('-D, --debug', 'no effect: errors contain all details').hideHelp())
      .option(
        '--cache-from <source>',
        'external cache source: type=registry,ref=NAME or type=local,src=DIR',
        collect,
      )
      .option(
        '--cache-to <dest>',
        'cache export destination: type=registry,ref=NAME, type=local,dest=DIR or ' +
          'type=inline; mode=max exports all steps',
        collect,
      )
      .option(
        '-f, --file <path>',
        'name of the Dockerfile (default: Dockerfile or Containerfile in CONTEXT)',
      )
      .option(
        '--ignorefile <file>',
        'the ignore file (default: NAME.dockerignore beside the Dockerfile NAME, or ' +
          'CONTEXT/.dockerignore)',
      )
      .option('--iidfile <file>', 'write the image ID to a file')
      .option('--label <name=value>', 'set metadata for an image', collect)
      .option(
        '--load',
        'shorthand for --output=type=docker: load the image into the local store, and into a ' +
          'Docker engine if one is running',
      )
      .option('--explain', 'print at the end why each step that ran was not cached')
      .option('--metadata-file <file>', 'write build result metadata to a file')
      .option('--no-cache', 'do not use cache when building the image')
      // Commander knows --no-cache-filter by another name (flagwords.ts).
      .addOption(
        new Option('--nocache-filter <stages>', NO_CACHE_FILTER).argParser(collect).hideHelp(),
      )
      .addHelpText('after', `  --no-cache-filter <stages>  ${NO_CACHE_FILTER}`)
      .option(
        '--on-error <action>',
        'shell: open a shell in the sandbox of a step that fails; needs a terminal',
      )
      .option(
        '-o, --output <spec>',
        `output destination: type=${OUTPUT_TYPES.join('|')}, with dest=PATH for files`,
        collect,
      )
      .option(
        '--output-on-error <spec>',
        'DIR,PATH[,PATH...]: copy these files of a step that fails into DIR',
      )
      .option(
        '--platform <list>',
        'set target platforms for build, such as linux/amd64,linux/arm64',
        collect,
      )
      .addOption(
        new Option(
          '--progress <type>',
          'set type of progress output (default: BUILDKIT_PROGRESS, or auto)',
        ),
      )
      .option(
        '--provenance <value>',
        'shorthand for --attest=type=provenance: true, or mode=min|max,version=v1|v0.2',
      )
      .option('--sbom <value>', 'shorthand for --attest=type=sbom: true')
      .option('--attest <spec>', 'attestation parameters: type=provenance|sbom,NAME=VALUE', collect)
      .option(
        '--pull [when]',
        'always attempt to pull all referenced images; --pull=missing asks registries only for ' +
          'tags that the store does not know, --pull=never sends them no request',
      )
      .option('--push', 'shorthand for --output=type=registry')
      .option('-q, --quiet', 'suppress the build output and print image ID on success')
      .option(
        '--secret <spec>',
        'secret to expose to the build: id=NAME[,src=FILE|,env=NAME][,invalidate=true]',
        collect,
      )
      .option(
        '--ssh <spec>',
        'SSH agent socket or keys to expose to the build: default, NAME=SOCKET or ' +
          'NAME=KEY[,KEY]; NAME=SOCKET,raw=true for any socket',
        collect,
      )
      .option('-t, --tag <name>', 'image identifier (format: [registry/]repository[:tag])', collect)
      .option(
        '--workers <address>',
        'run steps on other machines when that is faster: nats://HOST:4222, where kiln worker ' +
          'takes them, or a server of the API of BuildKit: tcp://HOST:PORT or unix://PATH ' +
          '(default: KILN_WORKERS)',
        collect,
      )
      .option('--worker-label <name>', 'only ask workers on NATS that have this label')
      .option(
        '--worker-cache-mounts [bool]',
        'a worker that lacks a cache mount begins with yours, and you take those that you lack',
      )
      .option('--tls-verify [bool]', 'false: registries may use plain http and any certificate')
      .option('--target <stage>', 'set the target build stage to build (default: the last)')
      .option('--squash', 'squash newly built layers into a single new layer')
      .addOption(new Option('--rm', 'no effect: Kiln keeps no intermediate containers').hideHelp())
      .addOption(
        new Option('--force-rm', 'no effect: Kiln keeps no intermediate containers').hideHelp(),
      )
  );
}

/**
 * Flags whose own parser handles an empty value. All others are ignored when their value is empty.
 */
export const MAY_BE_EMPTY: ReadonlySet<string> = new Set([
  '--build-arg',
  '--build-context',
  '--label',
  '--platform',
  '--shm-size',
  '--tag',
]);
