import { type Command, Option } from '../arguments.ts';
import { FIXED_FLAGS } from './podman-fixed.ts';
import { refusedFlag } from './podman-refused.ts';

/*
 * # Flags of `podman build` and `buildah build` that docker does not have
 *
 * They are declared when the command line has one of them, so that a build without them does not
 * load this file. Each means what another flag of `kiln build` means (podman-translate.ts), or has
 * one value only (podman-fixed.ts), or is refused with a sentence that says what to use instead
 * (podman-refused.ts).
 */

type Declaration = readonly [flags: string, description: string];

const TRANSLATED: readonly Declaration[] = [
  ['--arch <arch>', 'the architecture of --platform'],
  ['--authfile <file>', 'read logins from this file instead of ~/.docker/config.json'],
  ['--disable-content-trust [bool]', 'no effect: Kiln does not verify image signatures'],
  ['--format <oci|docker>', 'media types of the image: oci (the default) or docker'],
  ['--http-proxy [bool]', 'give the proxy variables of the environment to RUN instructions'],
  ['--jobs <count>', "podman's name of --max-parallelism; 0 means the default"],
  ['--layers [bool]', 'false: squash newly built layers, as --squash does'],
  ['--os <os>', 'the operating system of --platform'],
  ['--retry <count>', 'no effect: Kiln decides how often it asks a registry again'],
  ['--retry-delay <time>', 'no effect: Kiln decides when it asks a registry again'],
  ['--rewrite-timestamp [bool]', 'false: keep times of files that are later than the epoch'],
  ['--source-date-epoch <seconds>', 'the build argument SOURCE_DATE_EPOCH'],
  ['--timestamp <seconds>', 'the build argument SOURCE_DATE_EPOCH'],
  ['--variant <variant>', 'the variant of the CPU of --platform'],
];

/** Declares all flags of podman that are taken. */
export function addPodmanFlags(command: Command): Command {
  for (const declaration of declarations()) command.addOption(optionOf(declaration));
  return command;
}

/**
 * Declares one flag of podman, and returns it. Returns undefined when podman has no such flag.
 * Throws KILN_FLAG_UNSUPPORTED for one that is refused.
 */
export function declarePodmanFlag(command: Command, flag: string): Option | undefined {
  const found = declarations().find(([flags]) => flags.split(' ')[0] === flag);
  if (!found) {
    const refused = refusedFlag(flag);
    if (refused) throw refused;
    return undefined;
  }
  const option = optionOf(found);
  command.addOption(option);
  return option;
}

function declarations(): readonly Declaration[] {
  const fixed = Object.entries(FIXED_FLAGS).map(
    ([flag, { why }]): Declaration => [`${flag} [value]`, `no effect: ${why}`],
  );
  return [...TRANSLATED, ...fixed];
}

function optionOf([flags, description]: Declaration): Option {
  return new Option(flags, description).hideHelp();
}
