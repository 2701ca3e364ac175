import { redactUrl } from '../../base/redact.ts';
import { unsupportedPolicy } from '../../builder/context/policy-file.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { splitCsv } from '../arguments.ts';
import { flagError } from '../flag-error.ts';

const FLAG = '--policy';
const LEVELS = ['panic', 'fatal', 'error', 'warn', 'warning', 'info', 'debug', 'trace'];

/**
 * Parses the values of `--policy` as buildx does: `filename=`, `reset=`, `disabled=`, `strict=` and
 * `log-level=`, joined by commas. Returns whether the policy beside the Dockerfile holds. A file
 * that is named cannot be evaluated. Throws KILN_FLAG_VALUE and KILN_POLICY_UNSUPPORTED.
 */
export function policyFlags(specs: readonly string[]): Pick<BuildRequest, 'policyFile'> {
  let policyFile: BuildRequest['policyFile'] = 'refused';
  let files: string[] = [];
  let disables = false;
  for (const spec of specs) {
    const fields = splitCsv(spec, FLAG).map((field) => readField(field));
    for (const { key, value } of fields) {
      if (key === 'filename') files.push(value);
      else if (key === 'disabled') disables ||= truth(key, value);
      else if (key === 'reset' && truth(key, value)) {
        policyFile = 'ignored';
        files = [];
        files.push(...fields.flatMap((one) => (one.key === 'filename' ? [one.value] : [])));
        break;
      } else if (key === 'strict') truth(key, value);
      else if (key === 'log-level' && !LEVELS.includes(value.toLowerCase()))
        throw flagError(
          FLAG,
          `${JSON.stringify(value)} is not a level`,
          `write one of ${LEVELS.join(', ')}`,
        );
    }
  }
  if (disables && specs.length > 1)
    throw flagError(FLAG, 'disabled=true cannot be combined with other values of --policy');
  if (disables && files.length > 0)
    throw flagError(FLAG, 'disabled=true cannot be combined with filename=');
  if (files[0] !== undefined) throw unsupportedPolicy(files[0]);
  return { policyFile: disables ? 'ignored' : policyFile };
}

const KEYS = ['filename', 'reset', 'disabled', 'strict', 'log-level'];

function readField(field: string): { readonly key: string; readonly value: string } {
  const equals = field.indexOf('=');
  const key = field.slice(0, Math.max(equals, 0)).trim().toLowerCase();
  if (!KEYS.includes(key))
    throw flagError(
      FLAG,
      `invalid value ${field}`,
      `write KEY=VALUE with one of ${KEYS.join(', ')}`,
    );
  const value = field.slice(equals + 1);
  if (key === 'filename' && value === '') throw flagError(FLAG, 'filename= names no file');
  return { key, value };
}

function truth(key: string, value: string): boolean {
  if (/^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  throw flagError(FLAG, `${key}=${value} is neither true nor false`);
}

/**
 * The warning of a build at a builder elsewhere, which fetches the context itself: what policy is
 * beside the Dockerfile there is not known here.
 */
export function policyElsewhere(
  { policyFile, context, dockerfile }: BuildRequest,
  address: string,
): readonly string[] {
  if (policyFile === 'ignored' || context.kind !== 'remote') return [];
  if (dockerfile.kind !== 'default' && dockerfile.kind !== 'file') return [];
  return [
    `no policy in Rego is looked for beside the Dockerfile of ${redactUrl(context.url)}: ` +
      `${address} fetches it, and evaluates none (--policy disabled=true: none is meant)`,
  ];
}
