import { KilnError, messageOf } from '../base/errors.ts';
import type { NetworkFallback } from '../executor/network/open-network.ts';
import { textIfThere } from '../registry/textfile.ts';

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
  const { parse } = await import('smol-toml');
  try {
    const value = parse(text)['worker'];
    const workers = isTable(value) ? value : {};
    const worker = workers['oci'] ?? workers['containerd'];
    const fallback = isTable(worker) ? worker['networkFallback'] : undefined;
    if (fallback === undefined) return 'host';
    const known = FALLBACKS.find((one) => one === fallback);
    if (known === undefined) throw new Error(`networkFallback = ${JSON.stringify(fallback)}`);
    return known;
  } catch (error) {
    throw new KilnError(
      'KILN_NETWORK',
      `${path} is not valid: ${messageOf(error).split('\n', 1)[0]}`,
      {
        place: { kind: 'path', path },
        hint:
          'write networkFallback = ' +
          `${FALLBACKS.map((one) => JSON.stringify(one)).join(' or ')} below [worker.oci]`,
        cause: error,
      },
    );
  }
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
