import { type Command, collect, newCommand } from '../arguments.ts';

const COMMANDS = [
  'build',
  'du',
  'prune',
  'prune-histories',
  'dial-stdio',
  'debug workers',
  'debug info',
  'debug histories',
  'debug logs',
  'debug monitor',
  'debug get',
  'debug dump-llb',
];

/** The flags in front of the subcommand. */
export function declareBuildctl(): Command {
  return newCommand('buildctl', 'A client of a server of the API of BuildKit')
    .passThroughOptions()
    .argument('[words...]', COMMANDS.join(', '))
    .option('--addr <address>', 'the server (default: BUILDKIT_HOST, or the socket of this host)')
    .option('--tlsservername <name>', 'the name in the certificate of the server')
    .option('--tlscacert <file>', 'the CA of the server')
    .option('--tlscert <file>', 'the certificate of this client')
    .option('--tlskey <file>', 'the key of the certificate')
    .option('--tlsdir <directory>', 'a directory with ca.pem, cert.pem and key.pem')
    .option('--timeout <seconds>', 'how long connecting may take (default: 20; 0: no limit)')
    .option('--wait', 'wait until the server answers, no longer than --timeout')
    .option('--debug', 'show where an error was made, in the server and here')
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

export function declareInfo(): Command {
  return newCommand('buildctl debug info', 'Show the version of the server');
}

/** `name` is `debug histories` or `prune-histories`. */
export function declareHistories(name: string): Command {
  const summary = name === 'prune-histories' ? 'Forget builds' : 'List the records of builds';
  return newCommand(`buildctl ${name}`, summary).option('--format <template>', 'a Go template');
}

export function declareMonitor(): Command {
  return newCommand('buildctl debug monitor', 'Show what happens to builds')
    .option('--completed', 'show builds that have ended, too')
    .option('--ref <ref>', 'show only this build');
}

export function declareLogs(): Command {
  return newCommand('buildctl debug logs', 'Show the log of a build')
    .argument('<ref>', 'the name of the build')
    .option('--progress <mode>', 'auto, plain, tty or rawjson')
    .option('--trace', 'show the OpenTelemetry trace instead');
}

export function declareGet(): Command {
  return newCommand('buildctl debug get', 'Print a blob of the server').argument(
    '<digest>',
    'the digest of the blob',
  );
}

export function declareDumpGraph(): Command {
  return newCommand('buildctl debug dump-llb', 'Print an LLB graph; needs no server')
    .argument('[file]', 'the file with the graph (default: standard input)')
    .option('--dot', 'print it in the language of Graphviz');
}

export function declareBuildctlBuild(): Command {
  return newCommand('buildctl build', 'Build at the server')
    .option(
      '--frontend <name>',
      'dockerfile.v0 or gateway.v0; without it, a graph is read from standard input',
    )
    .option('--opt <option>', 'an option of the frontend: NAME=VALUE', collect)
    .option('--local <directory>', 'a directory that the server may read: NAME=DIR', collect)
    .option('-o, --output <output>', 'where the result goes: type=TYPE,NAME=VALUE', collect)
    .option('--secret <secret>', 'a secret: id=NAME,src=FILE or id=NAME,env=NAME', collect)
    .option('--ssh <agent>', 'an ssh agent: default, NAME=SOCKET or NAME=KEY', collect)
    .option('--allow <entitlement>', 'network.host, security.insecure or device', collect)
    .option('--source-policy-file <file>', 'a JSON file with a source policy')
    .option('--export-cache <cache>', 'a cache to write: type=TYPE,NAME=VALUE', collect)
    .option('--import-cache <cache>', 'a cache to read: type=TYPE,NAME=VALUE', collect)
    .option('--oci-layout <layout>', 'an OCI layout that the server may read: NAME=DIR', collect)
    .option('--progress <mode>', 'auto, plain, tty, rawjson or quiet')
    .option('--metadata-file <file>', 'write build result metadata to a file')
    .option('--ref-file <file>', 'write the name of the build to a file')
    .option('--no-cache', 'run every step')
    .option('--trace <file>', 'add a line of JSON for each event to a file');
}
