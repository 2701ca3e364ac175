import { csvFields } from '../../base/csv.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { parseAttestations } from '../../exporter/attest/attest-options.ts';
import { type FrontendOptions, invalidOption, prefixed } from './option-maps.ts';

/** What BuildKit takes where a client does not say it. */
const DEFAULTS: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  provenance: [
    ['mode', 'max'],
    ['version', 'v0.2'],
  ],
};

/**
 * The attestations that the options `attest:TYPE`, or arguments `BUILDKIT_ATTEST_TYPE`, ask for.
 * Undefined when there are none.
 */
export function attestOf(options: FrontendOptions): BuildRequest['attest'] | undefined {
  const given = new Map([
    ...prefixed(options, 'attest:'),
    ...[...prefixed(options, 'build-arg:BUILDKIT_ATTEST_')].map(
      ([type, text]): [string, string] => [type.toLowerCase(), text],
    ),
  ]);
  if (given.size === 0) return undefined;
  return parseAttestations(
    [...given].map(([type, text]) => ({
      flag: '--attest',
      fields: new Map([
        ['type', type],
        ...(DEFAULTS[type] ?? []),
        ...fieldsOf(type, text).map(fieldOf),
      ]),
    })),
  );
}

/** The value is a line of CSV, as with BuildKit: a parameter of a scanner may contain commas. */
function fieldsOf(type: string, text: string): string[] {
  const fields = csvFields(text);
  if (!fields) throw invalidOption(`attest:${type}`, text);
  return fields.filter(Boolean);
}

function fieldOf(field: string): [name: string, value: string] {
  const equals = field.indexOf('=');
  if (equals < 0) return [field, 'true'];
  const [name, value] = [field.slice(0, equals), field.slice(equals + 1)];
  return [name, name === 'mode' && value === 'full' ? 'max' : value];
}
