import { didYouMean } from '../base/suggest.ts';
import { parseDuration, parseFilters } from '../cache/gc/filter.ts';
import {
  type Disk,
  defaultLimits,
  defaultPolicies,
  type PrunePolicy,
  type SpaceLimits,
} from '../cache/gc/policy.ts';
import { textIfThere } from '../registry/textfile.ts';
import { parseBytes } from './arguments.ts';
import { isTable, readToml, type TomlTable } from './kiln-toml.ts';

/** The policies of automatic collection. Undefined when it is switched off. */
export type GcPolicies = readonly PrunePolicy[] | undefined;

/**
 * Returns the policies of automatic collection from the file at `path`, which has the form of
 * buildkitd.toml. `disk` is the disk of the store: sizes may be shares of it.
 *
 *     [worker.oci]
 *       gc = true
 *       reservedSpace = "10GB"     # also gckeepstorage
 *       maxUsedSpace = "75%"
 *       minFreeSpace = "20%"
 *       [[worker.oci.gcpolicy]]    # replaces the four default policies
 *         filters = ["type==exec.cachemount"]
 *         keepDuration = "48h"
 *         maxUsedSpace = "512MB"
 *         all = false
 *
 * A missing file gives the default policies. Throws KILN_GC_CONFIG_INVALID.
 */
export async function readGcPolicies(path: string, disk: Disk): Promise<GcPolicies> {
  const text = textIfThere('the configuration', path);
  return text === undefined
    ? defaultPolicies(defaultLimits(disk))
    : await parseGcPolicies(text, path, disk);
}

/** As `readGcPolicies`, from the text of the file. `path` is named in errors. */
export async function parseGcPolicies(text: string, path: string, disk: Disk): Promise<GcPolicies> {
  return await readToml(text, path, INVALID, (file) => {
    const workers = table(file['worker']);
    const worker = table(workers['oci'] ?? workers['containerd']);
    if (worker['gc'] !== undefined && typeof worker['gc'] !== 'boolean')
      throw new Error('gc is neither true nor false');
    if (worker['gc'] === false) return undefined;
    if (worker['gcpolicy'] === undefined) return defaultPolicies(limitsOf(worker, disk));
    if (!Array.isArray(worker['gcpolicy'])) throw new Error('gcpolicy is not a list of tables');
    return worker['gcpolicy'].map((policy, index) =>
      policyOf(table(policy), `policy ${index + 1}`, disk),
    );
  });
}

const INVALID = {
  code: 'KILN_GC_CONFIG_INVALID',
  hint: 'write it in the form of buildkitd.toml: [worker.oci] and [[worker.oci.gcpolicy]]',
} as const;

/**
 * Returns the limits that the configuration sets. When it sets one, none of the default limits
 * apply, as in BuildKit.
 */
function limitsOf(worker: TomlTable, disk: Disk): SpaceLimits {
  const configured = {
    reserved: size(worker['reservedSpace'] ?? worker['gckeepstorage'], disk),
    maxUsed: size(worker['maxUsedSpace'], disk),
    minFree: size(worker['minFreeSpace'], disk),
  };
  const { reserved, maxUsed, minFree } = configured;
  return reserved + maxUsed + minFree === 0 ? defaultLimits(disk) : configured;
}

/** The fields of a table `[[worker.oci.gcpolicy]]`. */
export const POLICY_KEYS = [
  'all',
  'filters',
  'keepBytes',
  'keepDuration',
  'maxUsedSpace',
  'minFreeSpace',
  'reservedSpace',
];

function policyOf(policy: TomlTable, name: string, disk: Disk): PrunePolicy {
  const stray = Object.keys(policy).find((key) => !POLICY_KEYS.includes(key));
  if (stray !== undefined)
    throw new Error(
      `${name}: ${stray} is not a field of a policy${didYouMean(stray, POLICY_KEYS)}`,
    );
  const filters = policy['filters'] ?? [];
  if (!Array.isArray(filters) || !filters.every((filter) => typeof filter === 'string'))
    throw new Error(`${name}: filters is not a list of strings`);
  return {
    name,
    filter: parseFilters(filters),
    filters,
    all: policy['all'] === true,
    keepMs: duration(policy['keepDuration'], name),
    reserved: size(policy['reservedSpace'] ?? policy['keepBytes'], disk),
    maxUsed: size(policy['maxUsedSpace'], disk),
    minFree: size(policy['minFreeSpace'], disk),
  };
}

/** Returns a size in bytes. It is written as a number, like `10GB`, or like `20%` of the disk. */
function size(value: unknown, disk: Disk): number {
  if (value === undefined) return 0;
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
  if (typeof value !== 'string') throw new Error(`${String(value)} is not a size`);
  const percent = /^(\d+)%$/.exec(value)?.[1];
  return percent === undefined
    ? parseBytes(value, 'kiln.toml')
    : Math.floor((disk.total * Number(percent)) / 100);
}

/** Returns a duration in milliseconds. It is written as seconds, or like `48h`. */
function duration(value: unknown, name: string): number {
  if (value === undefined) return 0;
  return parseDuration(String(value), `keepDuration of ${name}`);
}

function table(value: unknown): TomlTable {
  if (value === undefined) return {};
  if (isTable(value)) return value;
  throw new Error(`${JSON.stringify(value)} is not a table`);
}
