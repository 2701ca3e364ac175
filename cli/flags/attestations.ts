import { type AttestFlag, parseAttestations } from '../../exporter/attest/attest-options.ts';
import type { AttestOptions } from '../../exporter/attest/attestation.ts';
import { keyValues } from '../arguments.ts';

const NONE: AttestOptions = { provenance: undefined, sbom: false };

/**
 * Parses `--attest`, `--provenance` and `--sbom`. The last two are shorthands for `--attest` with a
 * type. Their value may also be just `true` or `false`. Throws what `parseAttestations` throws.
 */
export function attestFlags(flags: Readonly<Record<string, unknown>>): AttestOptions {
  const given: AttestFlag[] = ((flags['attest'] as string[] | undefined) ?? []).map((text) => ({
    flag: '--attest',
    fields: fieldsOf(text, '--attest'),
  }));
  for (const type of ['provenance', 'sbom'] as const) {
    const text = flags[type] as string | undefined;
    if (text === undefined) continue;
    const flag = `--${type}` as const;
    const rest = /^(true|1)$/i.test(text) ? '' : /^(false|0)$/i.test(text) ? 'disabled=true' : text;
    given.push({
      flag,
      fields: new Map([['type', type], ...(rest === '' ? [] : fieldsOf(rest, flag))]),
    });
  }
  return given.length === 0 ? NONE : parseAttestations(given);
}

/** The names of parameters for an SBOM generator are variables, in which case matters. */
function fieldsOf(text: string, flag: string): Map<string, string> {
  return keyValues(text, flag, (name) => {
    const lower = name.toLowerCase();
    return ATTRIBUTES.has(lower) ? lower : name;
  });
}

const ATTRIBUTES: ReadonlySet<string> = new Set([
  'type',
  'disabled',
  'generator',
  'mode',
  'version',
  'builder-id',
  'reproducible',
  'inline-only',
  'filename',
  'complete-materials',
  'capture-usage',
]);
