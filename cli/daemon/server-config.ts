import type { LogLimits } from '../../builder/history/log-limits.ts';
import { textIfThere } from '../../registry/textfile.ts';
import { historyLimits } from '../history-limits.ts';
import { readToml, type TomlTable } from '../kiln-toml.ts';

/** What the configuration says about the server itself. */
export interface ServerConfig {
  readonly root?: string | undefined;
  readonly addresses: readonly string[];
  readonly group?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly tlsCa?: string | undefined;
  readonly entitlements: readonly string[];
  /** How long builds stay in the history. Undefined when the file does not say it. */
  readonly history: LogLimits | undefined;
  /** The directory with what provenance tells about the builder. */
  readonly provenanceEnvDir?: string | undefined;
  /** What clients are told about the worker, beside what Kiln says. */
  readonly labels: Readonly<Record<string, string>>;
  /** The keys of the file that Kiln does not read, such as `worker.oci.snapshotter`. */
  readonly unread: readonly string[];
}

/**
 * Reads what the file at `path` says about the server. It has the form of buildkitd.toml:
 *
 *     root = "/var/lib/kiln"
 *     insecure-entitlements = ["network.host"]
 *     provenanceEnvDir = "/etc/buildkit/provenance.d"
 *     [grpc]
 *       address = ["unix:///run/kiln/buildkitd.sock", "tcp://0.0.0.0:1234"]
 *       gid = 998
 *       [grpc.tls]
 *         cert = "/etc/kiln/server.pem"
 *         key = "/etc/kiln/server.key"
 *         ca = "/etc/kiln/clients.pem"
 *     [history]
 *       maxAge = "48h"
 *       maxEntries = 50
 *       maxSize = "500MB"
 *     [worker.oci.labels]
 *       disk = "fast"
 *
 * A missing file configures nothing. Throws KILN_SERVER_CONFIG_INVALID.
 */
export async function readServerConfig(path: string): Promise<ServerConfig> {
  const text = textIfThere('the configuration', path) ?? '';
  return await readToml(text, path, INVALID, (file) => {
    const grpc = table(file, 'grpc');
    const tls = table(grpc, 'tls');
    const gid = grpc['gid'];
    if (gid !== undefined && !Number.isInteger(gid)) throw new Error('grpc.gid is not a number');
    return {
      root: word(file, 'root'),
      addresses: words(grpc, 'address'),
      group: gid === undefined ? undefined : String(gid),
      tlsCert: word(tls, 'cert'),
      tlsKey: word(tls, 'key'),
      tlsCa: word(tls, 'ca'),
      entitlements: words(file, 'insecure-entitlements'),
      history: historyLimits(file),
      provenanceEnvDir: word(file, 'provenanceEnvDir'),
      labels: labelsOf(file),
      unread: keysOf(file).filter((key) => !READ.some((pattern) => pattern.test(key))),
    };
  });
}

const INVALID = {
  code: 'KILN_SERVER_CONFIG_INVALID',
  hint: 'write it in the form of buildkitd.toml',
} as const;

/** The keys that Kiln reads, here or where a build needs them. */
const READ: readonly RegExp[] = [
  /^(root|insecure-entitlements|provenanceEnvDir|grpc\.(address|gid|tls\.(cert|key|ca)))$/,
  /^history\.(maxAge|maxEntries|maxSize)$/,
  /^registry\./,
  /^emulators\./,
  /^worker\.(oci|containerd)\.(gc|gcpolicy|reservedSpace|gckeepstorage|maxUsedSpace)$/,
  /^worker\.(oci|containerd)\.(minFreeSpace|networkFallback|labels\..*)$/,
];

/** Returns the paths of all values. A list of tables counts as a value. */
function keysOf(file: TomlTable): readonly string[] {
  return Object.entries(file).flatMap(([key, value]) =>
    isTable(value) ? keysOf(value).map((inner) => `${key}.${inner}`) : [key],
  );
}

function labelsOf(file: TomlTable): Record<string, string> {
  const workers = table(file, 'worker');
  const labels = table(table(workers, workers['oci'] ? 'oci' : 'containerd'), 'labels');
  return Object.fromEntries(Object.keys(labels).map((name) => [name, word(labels, name) ?? '']));
}

function table(file: TomlTable, key: string): TomlTable {
  const value = file[key] ?? {};
  if (!isTable(value)) throw new Error(`${key} is not a table`);
  return value;
}

function word(file: TomlTable, key: string): string | undefined {
  const value = file[key];
  if (value === undefined || value === '') return undefined;
  if (typeof value !== 'string') throw new Error(`${key} is not a string`);
  return value;
}

function words(file: TomlTable, key: string): readonly string[] {
  const value = file[key] ?? [];
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw new Error(`${key} is not a list of strings`);
}

function isTable(value: unknown): value is TomlTable {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}
