import { textIfThere } from '../registry/textfile.ts';
import { isTable, readToml } from './kiln-toml.ts';

/** The workers of builds that name none themselves. */
export interface ConfiguredWorkers {
  readonly addresses: readonly string[];
  /** Only workers with this label are asked. */
  readonly label: string | undefined;
  /** Cache mounts are lent to workers, and taken from them. */
  readonly cacheMounts: boolean;
}

const NONE: ConfiguredWorkers = { addresses: [], label: undefined, cacheMounts: false };

/**
 * Returns the workers that the kiln.toml at `path` names:
 *
 *     [workers]
 *       addresses = ["nats://nats.example:4222?creds=/etc/kiln/build.creds"]
 *       label = "large"
 *       cache-mounts = true
 *
 * Throws KILN_ADDRESS_INVALID when it has anything else there.
 */
export async function configuredWorkers(path: string): Promise<ConfiguredWorkers> {
  const text = textIfThere('the configuration', path);
  // Nothing is parsed by builds without workers.
  if (text === undefined || !text.includes('workers')) return NONE;
  return await readToml(text, path, INVALID, (file) => {
    const table = file['workers'];
    if (table === undefined) return NONE;
    if (!isTable(table)) throw new Error('workers is not a table');
    const { addresses = [], label, 'cache-mounts': cacheMounts = false } = table;
    if (!Array.isArray(addresses) || !addresses.every((one) => typeof one === 'string'))
      throw new Error('workers.addresses is not a list of addresses');
    if (label !== undefined && typeof label !== 'string')
      throw new Error('workers.label is not a text');
    if (typeof cacheMounts !== 'boolean')
      throw new Error('workers.cache-mounts is neither true nor false');
    return { addresses, label, cacheMounts };
  });
}

const INVALID = {
  code: 'KILN_ADDRESS_INVALID',
  hint: 'write addresses = ["nats://HOST:4222"] below [workers]',
} as const;
