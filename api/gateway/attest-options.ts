import type { BuildRequest } from '../../builder/request.ts';
import { parseAttestations } from '../../exporter/attest/attest-options.ts';
import { type FrontendOptions, prefixed } from './option-maps.ts';

/** What BuildKit takes where a client does not say it. */
const DEFAULTS: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  provenance: [
    ['mode', 'max'],
    ['version', 'v0.2'],
  ],
};

/** The attestations that the options `attest:TYPE` ask for. Undefined when there are none. */
export function attestOf(options: FrontendOptions): BuildRequest['attest'] | undefined {
  const given = [...prefixed(options, 'attest:')];
  if (given.length === 0) return undefined;
  return parseAttestations(
    given.map(([type, text]) => ({
      flag: '--attest',
      fields: new Map([
        ['type', type],
        ...(DEFAULTS[type] ?? []),
        ...text.split(',').filter(Boolean).map(fieldOf),
      ]),
    })),
  );
}

function fieldOf(field: string): [name: string, value: string] {
  const equals = field.indexOf('=');
  if (equals < 0) return [field, 'true'];
  const [name, value] = [field.slice(0, equals), field.slice(equals + 1)];
  return [name, name === 'mode' && value === 'full' ? 'max' : value];
}
