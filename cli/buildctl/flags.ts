import { type Command, collect, newCommand } from '../arguments.ts';

/** The flags in front of the subcommand. */
export function declareBuildctl(): Command {
  return newCommand('buildctl', 'The commands of buildctl, for programs that call it')
    .passThroughOptions()
    .argument('[words...]', 'debug workers, debug info, dial-stdio, du, prune or build')
    .option('--addr <address>', 'the server (default: BUILDKIT_HOST, or the socket of this host)')
    .option('--tlsservername <name>', 'the name in the certificate of the server')
    .option('--tlscacert <file>', 'the CA of the server')
    .option('--tlscert <file>', 'the certificate of this client')
    .option('--tlskey <file>', 'the key of the certificate')
    .option('--timeout <seconds>', 'no effect')
    .option('--wait', 'no effect')
    .option('--debug', 'no effect')
    .option('-v, --version', 'print the version of the API');
}

export function declareWorkers(): Command {
  return newCommand('buildctl debug workers', 'List the workers of the server')
    .option('-f, --filter <filter>', 'list only workers that match', collect)
    .option('-v, --verbose', 'show labels, too')
    .option('--format <template>', 'a Go template');
}

export function declareUsage(): Command {
  return newCommand('buildctl du', 'Show the disk usage of the server')
    .option('-f, --filter <filter>', 'show only items that match', collect)
    .option('-v, --verbose', 'no effect')
    .option('--format <format>', 'json');
}

export function declarePrune(): Command {
  return newCommand('buildctl prune', 'Remove build cache from the server')
    .option('-f, --filter <filter>', 'remove only items that match', collect)
    .option('-a, --all', 'include internal items')
    .option('--keep-duration <duration>', 'keep items that were used within this time')
    .option('--keep-storage <megabytes>', 'the old name of --reserved-space')
    .option('--reserved-space <megabytes>', 'disk space always allowed to keep for cache')
    .option('--max-used-space <megabytes>', 'maximum disk space allowed to keep for cache')
    .option('--min-free-space <megabytes>', 'target of free disk space after pruning')
    .option('-v, --verbose', 'no effect')
    .option('--format <format>', 'json');
}

export function declareBuildctlBuild(): Command {
  return newCommand('buildctl build', 'Build with the store of this host')
    .option('--frontend <name>', 'dockerfile.v0')
    .option('--opt <option>', 'an option of the frontend: NAME=VALUE', collect)
    .option('--local <directory>', 'a directory: context=DIR, dockerfile=DIR or NAME=DIR', collect)
    .option('-o, --output <output>', 'as of kiln build', collect)
    .option('--secret <secret>', 'as of kiln build', collect)
    .option('--ssh <agent>', 'as of kiln build', collect)
    .option('--allow <entitlement>', 'as of kiln build', collect)
    .option('--export-cache <cache>', 'as --cache-to of kiln build', collect)
    .option('--import-cache <cache>', 'as --cache-from of kiln build', collect)
    .option('--oci-layout <layout>', 'an OCI layout: NAME=DIR', collect)
    .option('--progress <mode>', 'auto, plain, tty, rawjson or quiet')
    .option('--metadata-file <file>', 'as of kiln build')
    .option('--no-cache', 'run every step')
    .option('--trace <file>', 'no effect');
}
