import { nearest } from '../../base/suggest.ts';
import type { CallSpec } from '../../builder/call-spec.ts';
import { flagError } from '../flag-error.ts';

/** The methods of `--call`. `lint` is another name of `check`. */
export const METHODS = [
  'build',
  'check',
  'lint',
  'outline',
  'targets',
  'convertllb',
  'subrequests.describe',
] as const;

/**
 * Parses `--call=METHOD[,format=json|text][,ignorestatus=true]`. Returns undefined for the method
 * `build`. Throws KILN_FLAG_VALUE.
 */
export function parseCall(text: string): CallSpec | undefined {
  const fail = (message: string, hint: string): never => {
    throw flagError('--call', message, hint);
  };
  const [name = '', ...fields] = text.split(',');
  const method = METHODS.find((known) => known === name.toLowerCase());
  if (name !== '' && method === undefined) {
    const near = nearest(name, METHODS);
    fail(
      `${JSON.stringify(name)} is not a method of --call`,
      near
        ? `write --call=${near}`
        : 'write one of build, check, outline, targets, convertllb, subrequests.describe',
    );
  }
  let format: CallSpec['format'] = 'text';
  let ignoreStatus = false;
  for (const field of fields) {
    const [key, value = ''] = field.split(/=(.*)/s, 2);
    if (key === 'format' && (value === 'json' || value === 'text')) format = value;
    else if (key === 'format')
      fail(`format=${value} is neither json nor text`, 'write format=json, or leave it out');
    else if (key === 'ignorestatus' && /^(?:1|t|true|0|f|false)$/i.test(value))
      ignoreStatus = /^(?:1|t|true)$/i.test(value);
    else if (key === 'ignorestatus')
      fail(
        `ignorestatus=${value} is neither true nor false`,
        'write ignorestatus=true, or leave it out',
      );
    else
      fail(
        `${JSON.stringify(field)} is not a field of --call`,
        'the fields are format=json and ignorestatus=true',
      );
  }
  if (method === undefined || method === 'build') return undefined;
  return { method: method === 'lint' ? 'check' : method, format, ignoreStatus };
}
