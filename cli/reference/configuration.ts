/**
 * The keys of kiln.toml, for docs/reference/kiln-toml.md and the man page. Tests compare them with
 * those that the readers know: `registry/config.ts`, `cli/gc-config.ts`, `cli/network-config.ts`,
 * `cli/emulation-config.ts`.
 */
export interface ConfigurationTable {
  /** As it is written in the file. */
  readonly header: string;
  readonly text: string;
  readonly keys: readonly ConfigurationKey[];
  readonly example: string;
}

export interface ConfigurationKey {
  readonly name: string;
  readonly type: string;
  readonly fallback?: string;
  readonly text: string;
}

const SIZE = 'size';

export const CONFIGURATION: readonly ConfigurationTable[] = [
  {
    header: '[registry."HOST"]',
    text:
      'How one registry is spoken to. HOST is its name as it stands in image names, with the ' +
      'port where there is one.',
    keys: [
      {
        name: 'mirrors',
        type: 'list of hosts',
        text: 'Asked first, in this order: `HOST[:PORT]`, or with a path, `HOST/PATH`.',
      },
      {
        name: 'http',
        type: 'boolean',
        fallback: 'false',
        text: 'Plain http in the place of https.',
      },
      {
        name: 'insecure',
        type: 'boolean',
        fallback: 'false',
        text: 'Certificates are not verified.',
      },
      {
        name: 'ca',
        type: 'list of files',
        text: 'CA certificates in PEM form, trusted for this host besides the usual ones.',
      },
      {
        name: 'tlsconfigdir',
        type: 'list of directories',
        text: "CAs and client certificates, as in docker's `certs.d/HOST`.",
      },
      {
        name: 'keypair',
        type: 'tables',
        text: 'Client certificates: each has `key` and `cert`, which are files.',
      },
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
      'Collection of the store, and the network of steps. `[worker.containerd]` is read where ' +
      'there is no `[worker.oci]`.',
    keys: [
      {
        name: 'gc',
        type: 'boolean',
        fallback: 'true',
        text: 'Whether the store is collected after builds.',
      },
      { name: 'reservedSpace', type: SIZE, text: 'So much may always stay.' },
      { name: 'gckeepstorage', type: SIZE, text: 'The old name of `reservedSpace`.' },
      { name: 'maxUsedSpace', type: SIZE, text: 'The most that may stay.' },
      { name: 'minFreeSpace', type: SIZE, text: 'So much of the disk is kept free.' },
      {
        name: 'gcpolicy',
        type: 'tables',
        text: 'In the place of the default policies: see below.',
      },
      {
        name: 'networkFallback',
        type: '"host", "none" or "refuse"',
        fallback: '"host"',
        text: 'What a step gets on a host that gives it no network of its own.',
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
    text: 'One policy of collection. Policies are applied in the order of the file.',
    keys: [
      {
        name: 'all',
        type: 'boolean',
        fallback: 'false',
        text: 'Also internal items, and records whose layers an image keeps.',
      },
      {
        name: 'filters',
        type: 'list of filters',
        text: 'Only what matches one of them, such as `type==exec.cachemount`.',
      },
      {
        name: 'keepDuration',
        type: 'duration',
        text: 'What was used this recently stays: `"48h"`, or seconds.',
      },
      { name: 'reservedSpace', type: SIZE, text: 'So much may always stay.' },
      { name: 'keepBytes', type: SIZE, text: 'The old name of `reservedSpace`.' },
      { name: 'maxUsedSpace', type: SIZE, text: 'The most that may stay.' },
      { name: 'minFreeSpace', type: SIZE, text: 'So much of the disk is kept free.' },
    ],
    example: `[[worker.oci.gcpolicy]]
  filters = ["type==exec.cachemount"]
  keepDuration = "48h"
  maxUsedSpace = "512MB"
`,
  },
  {
    header: '[emulators]',
    text:
      'The program that runs steps for another processor, in the place of ' +
      'the one that is found.',
    keys: [
      {
        name: 'ARCHITECTURE',
        type: 'path',
        text: 'A static emulator. The key is an architecture such as `arm64` or `riscv64`.',
      },
    ],
    example: `[emulators]
  arm64 = "/opt/qemu/qemu-aarch64"
`,
  },
];
