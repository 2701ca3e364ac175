/**
 * A table of kiln.toml, for docs/reference/kiln-toml.md and the man page. Tests compare its keys
 * with those that the code reads, in `registry/config.ts`, `cli/gc-config.ts`,
 * `cli/history-limits.ts`,
 * `cli/network-config.ts` and `cli/emulation-config.ts`.
 */
export interface ConfigurationTable {
  /** The header as it is written in the file, such as `[worker.oci]`. */
  readonly header: string;
  readonly text: string;
  readonly keys: readonly ConfigurationKey[];
  readonly example: string;
}

/** A key of a table. */
export interface ConfigurationKey {
  readonly name: string;
  readonly type: string;
  /** The default value as it is written in the file. */
  readonly fallback?: string;
  readonly text: string;
}

/** The keys about disk space. `old` is the old name of the first one. */
function spaceKeys(old: string): readonly ConfigurationKey[] {
  const type = 'size';
  return [
    {
      name: 'reservedSpace',
      type,
      text: 'Amount of disk space always allowed to keep for cache.',
    },
    { name: old, type, text: 'The old name of `reservedSpace`.' },
    {
      name: 'maxUsedSpace',
      type,
      text: 'Maximum amount of disk space allowed to keep for cache.',
    },
    { name: 'minFreeSpace', type, text: 'Target amount of free disk space after collection.' },
  ];
}

const MAX_AGE_TEXT =
  'For so long after an answer the registry is not asked again what the tag of a base means: ' +
  '`"10m"`, or a number of seconds. `--pull` asks all the same.';

export const CONFIGURATION: readonly ConfigurationTable[] = [
  {
    header: '[registry]',
    text: 'Settings for all registries.',
    keys: [{ name: 'max-age', type: 'duration', fallback: '0', text: MAX_AGE_TEXT }],
    example: '[registry]\n  max-age = "10m"\n',
  },
  {
    header: '[registry."HOST"]',
    text:
      'Settings for one registry. HOST is the name of the registry in image names, including ' +
      'the port if there is one.',
    keys: [
      {
        name: 'mirrors',
        type: 'list of hosts',
        text: 'Mirrors to try first, in this order: `HOST[:PORT]` or `HOST[:PORT]/PATH`.',
      },
      {
        name: 'http',
        type: 'boolean',
        fallback: 'false',
        text: 'Use http instead of https.',
      },
      {
        name: 'insecure',
        type: 'boolean',
        fallback: 'false',
        text: 'Do not verify certificates.',
      },
      {
        name: 'ca',
        type: 'list of files',
        text: 'Additional CA certificates to trust for this host, in PEM form.',
      },
      {
        name: 'tlsconfigdir',
        type: 'list of directories',
        text: "CA and client certificates, as in docker's `certs.d/HOST`.",
      },
      {
        name: 'keypair',
        type: 'tables',
        text: 'Client certificates. Each has the files `key` and `cert`.',
      },
      { name: 'max-age', type: 'duration', text: MAX_AGE_TEXT },
    ],
    example: `[registry."docker.io"]
  mirrors = ["mirror.example.com"]

[registry."registry.example.com:5000"]
  ca = ["/etc/ssl/example.pem"]
  [[registry."registry.example.com:5000".keypair]]
    key = "/etc/ssl/me.key"
    cert = "/etc/ssl/me.pem"
`,
  },
  {
    header: '[worker.oci]',
    text:
      'Automatic collection of the store, and the network of steps. If there is no ' +
      '`[worker.oci]`, `[worker.containerd]` is read instead.',
    keys: [
      {
        name: 'gc',
        type: 'boolean',
        fallback: 'true',
        text: 'Collect the store after builds.',
      },
      ...spaceKeys('gckeepstorage'),
      {
        name: 'gcpolicy',
        type: 'tables',
        text: 'Policies that replace the default policies: see below.',
      },
      {
        name: 'networkFallback',
        type: '"host", "none" or "refuse"',
        fallback: '"host"',
        text:
          'What steps get on a host where Kiln cannot make a network for them: the host ' +
          'network, no network, or an error.',
      },
    ],
    example: `[worker.oci]
  reservedSpace = "10GB"
  maxUsedSpace = "75%"
  networkFallback = "refuse"
`,
  },
  {
    header: '[[worker.oci.gcpolicy]]',
    text: 'A policy of automatic collection. Policies are applied in the order of the file.',
    keys: [
      {
        name: 'all',
        type: 'boolean',
        fallback: 'false',
        text: 'Include internal items, and records of steps whose layers an image uses.',
      },
      {
        name: 'filters',
        type: 'list of filters',
        text: 'Remove only items that match one of the filters, such as `type==exec.cachemount`.',
      },
      {
        name: 'keepDuration',
        type: 'duration',
        text: 'Keep items that were used within this time: `"48h"`, or a number of seconds.',
      },
      ...spaceKeys('keepBytes'),
    ],
    example: `[[worker.oci.gcpolicy]]
  filters = ["type==exec.cachemount"]
  keepDuration = "48h"
  maxUsedSpace = "512MB"
`,
  },
  {
    header: '[history]',
    text:
      'How long records of builds are kept. Without the table: the last 100 builds, and 1 GB. A ' +
      'build is removed that is neither among the newest `maxEntries` nor younger than `maxAge`, ' +
      'and the oldest ones while all take more than `maxSize`. `kiln build` takes changes over ' +
      'when it collects, and `kiln serve` when it starts.',
    keys: [
      {
        name: 'maxEntries',
        type: 'number',
        fallback: '0, or 100 with maxSize alone',
        text: 'Keep at least this number of builds.',
      },
      {
        name: 'maxAge',
        type: 'duration',
        fallback: '0',
        text: 'Keep builds that are younger: `"48h"`, or a number of seconds.',
      },
      {
        name: 'maxSize',
        type: 'size',
        fallback: '"1GB"',
        text: 'What all records may take. Looked after when the cache is collected.',
      },
    ],
    example: `[history]
  maxEntries = 50
  maxAge = "48h"
  maxSize = "500MB"
`,
  },
  {
    header: '[workers]',
    text:
      'Other machines that run steps of `kiln build` ' +
      '([more than one machine](../scale.md)). Flags and the environment take precedence.',
    keys: [
      {
        name: 'addresses',
        type: 'list of addresses',
        text: "Addresses of NATS servers, and of servers of BuildKit's API.",
      },
      {
        name: 'label',
        type: 'text',
        text: 'Only workers with this label are asked.',
      },
      {
        name: 'cache-mounts',
        type: 'boolean',
        text:
          'A worker that lacks a cache mount begins with that of the build, and the build takes ' +
          'those that it lacks (default: false).',
      },
    ],
    example: `[workers]
  addresses = ["nats://nats.example:4222?creds=/etc/kiln/build.creds"]
`,
  },
  {
    header: '[emulators]',
    text:
      'Programs that run steps for other architectures. They are used instead of emulators that ' +
      'Kiln finds on the host.',
    keys: [
      {
        name: 'ARCHITECTURE',
        type: 'path',
        text:
          'The path of a statically linked emulator. The key is an architecture, such as ' +
          '`arm64` or `riscv64`.',
      },
    ],
    example: `[emulators]
  arm64 = "/opt/qemu/qemu-aarch64"
`,
  },
];
