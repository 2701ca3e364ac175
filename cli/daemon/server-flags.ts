import { type Command, collect, newCommand, Option } from '../arguments.ts';

/** The values of the flags that Kiln reads. */
export interface ServerFlags {
  readonly addr?: string[];
  readonly docker?: string[];
  readonly passTo?: string;
  readonly config?: string;
  readonly root?: string;
  readonly group?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
  readonly tlscacert?: string;
  readonly allowInsecureEntitlement?: string[];
  readonly insecure?: boolean;
  readonly idleTimeout?: string;
  readonly metrics?: string[];
  readonly version?: boolean;
}

/** Declares the flags of `kiln serve`: all of those that buildkitd has, and Kiln's own. */
export function declareServer(): Command {
  const command = newCommand('serve', 'Serve the API of BuildKit, for buildx and other clients')
    .option(
      '--addr <address>',
      'listen on this address: unix://PATH, tcp://HOST:PORT or fd:// (sockets that systemd ' +
        'passes; default: a socket in /run/kiln)',
      collect,
    )
    .option(
      '--docker <address>',
      "serve Docker's API for builds and images, too: unix:///run/kiln/docker.sock or " +
        'tcp://HOST:PORT',
      collect,
    )
    .option(
      '--pass-to <address>',
      "pass what is not building on to the engine at this address, such as Podman's: unix://PATH",
    )
    .option('--config <file>', 'the configuration, in the form of kiln.toml and buildkitd.toml')
    .option('--group <group>', 'the group that may connect to the socket: a name or an id')
    .option('--tlscert <file>', 'the certificate of the server, for addresses of a network')
    .option('--tlskey <file>', 'the key of the certificate')
    .option('--tlscacert <file>', 'accept only clients whose certificate this CA has signed')
    .option(
      '--allow-insecure-entitlement <name>',
      'builds may ask for this: network.host, security.insecure or device',
      collect,
    )
    .option('--insecure', 'serve without TLS on an address that other hosts can reach')
    .option(
      '--idle-timeout <duration>',
      'end when no client has been connected for this time (default: 10m with fd://, else never)',
    )
    .option(
      '--metrics <address>',
      'serve metrics for Prometheus at /metrics of this address: tcp://HOST:PORT or unix://PATH',
      collect,
    )
    .option('--version', 'print the version of the API that is served');
  for (const flag of UNUSED) command.addOption(new Option(flag, 'no effect').hideHelp());
  return command;
}

/** Returns the flags of buildkitd that were given and mean nothing to Kiln. */
export function unusedFlags(command: Command): readonly string[] {
  return command.options
    .filter((option) => UNUSED.includes(option.flags))
    .filter((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    .map(({ long }) => long ?? '');
}

/** Flags of buildkitd about parts of it that Kiln does not have, or decides by itself. */
const UNUSED: readonly string[] = [
  '--debug',
  '--trace',
  '--debugaddr <address>',
  '--log-format <format>',
  '--save-cache-debug',
  '--rootless',
  '--otel-socket-path <path>',
  '--cdi-disabled',
  '--cdi-spec-dir <directory...>',
  ...worker('oci', [
    '-rootless',
    '-no-process-sandbox',
    '-proxy-snapshotter-path <path>',
    '-binary <path>',
  ]),
  ...worker('containerd', ['-addr <address>', '-namespace <name>']),
];

function worker(name: string, own: readonly string[]): readonly string[] {
  return [
    `--${name}-worker <when>`,
    ...own.map((flag) => `--${name}-worker${flag}`),
    ...[
      '-labels <label...>',
      '-platform <platform...>',
      '-net <mode>',
      '-snapshotter <name>',
      '-apparmor-profile <name>',
      '-selinux',
      '-gc',
      '-gc-keepstorage <size>',
    ].map((flag) => `--${name}-worker${flag}`),
    ...['config-path <path>', 'binary-dir <path>', 'pool-size <count>'].map(
      (flag) => `--${name}-cni-${flag}`,
    ),
    `--${name}-max-parallelism <count>`,
  ];
}
