import type { ImageConfig } from '../../base/oci.ts';
import type { ConfigChange } from './comparison.ts';

/** Fields whose parts are compared one by one. */
const BY_NAME = ['Labels', 'ExposedPorts', 'Volumes'];
/** Fields of the document beside its `config` that say how the image is used. */
const OUTSIDE = ['architecture', 'os', 'variant', 'os.version', 'author'];

/** What is different between two configs, sorted by field. History and layers do not count. */
export function compareConfigs(from: ImageConfig, to: ImageConfig): ConfigChange[] {
  const [before, after] = [fieldsOf(from), fieldsOf(to)];
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((field) => {
    const [was, is] = [before.get(field), after.get(field)];
    if (was === is) return [];
    return [
      { field, ...(was !== undefined && { from: was }), ...(is !== undefined && { to: is }) },
    ];
  });
}

function fieldsOf(document: ImageConfig): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  const set = (field: string, value: unknown) => {
    if (value === undefined || value === null || value === '') return;
    fields.set(field, typeof value === 'string' ? value : JSON.stringify(value));
  };
  for (const field of OUTSIDE) set(field, document[field]);
  for (const [field, value] of Object.entries(document.config ?? {})) {
    if (field === 'Env' && Array.isArray(value)) {
      for (const variable of value.map(String)) {
        const equals = variable.indexOf('=');
        const name = equals < 0 ? variable : variable.slice(0, equals);
        fields.set(`Env ${name}`, equals < 0 ? '' : variable.slice(equals + 1));
      }
    } else if (BY_NAME.includes(field) && typeof value === 'object' && value !== null) {
      for (const [name, part] of Object.entries(value)) set(`${field} ${name}`, part);
    } else set(field, value);
  }
  return fields;
}
