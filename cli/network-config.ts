import type { NetworkFallback } from '../executor/network/open-network.ts';
import { textIfThere } from '../registry/textfile.ts';
import { isTable, readToml } from './kiln-toml.ts';

const FALLBACKS: readonly NetworkFallback[] = ['host', 'none', 'refuse'];

/**
 * Returns what steps get on a host where Kiln cannot make a network for them, from the kiln.toml at
 * `path`:
 *
 *     [worker.oci]
 *       networkFallback = "refuse"     # or "none", or "host" (the default)
 *
 * Throws KILN_NETWORK for any other value.
 */
export async function configuredFallback(path: string): Promise<NetworkFallback> {
  const text = textIfThere('the configuration', path);
  if (text === undefined) return 'host';
  return await readToml(text, path, INVALID, (file) => {
    const value = file['worker'];
    const workers = isTable(value) ? value : {};
    const worker = workers['oci'] ?? workers['containerd'];
    const fallback = isTable(worker) ? worker['networkFallback'] : undefined;
    if (fallback === undefined) return 'host';
    const known = FALLBACKS.find((one) => one === fallback);
    if (known === undefined) throw new Error(`networkFallback = ${JSON.stringify(fallback)}`);
    return known;
  });
}

const INVALID = {
  code: 'KILN_NETWORK',
  hint:
    'write networkFallback = ' +
    `${FALLBACKS.map((one) => JSON.stringify(one)).join(' or ')} below [worker.oci]`,
} as const;
