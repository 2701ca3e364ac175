import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, KilnError, messageOf } from '../../base/errors.ts';
import { attempt, reading } from '../../base/oserror.ts';
import { readRegularFile } from '../../base/regular-file.ts';
import { isTable } from '../kiln-toml.ts';

/** Where the files are when the configuration names no directory, as with BuildKit. */
export const PROVENANCE_DIRECTORY = '/etc/buildkit/provenance.d';

/** These are Kiln's to say. */
const BUILTIN = ['buildConfig', 'builderPlatform', 'platform'];

/**
 * Reads what the operator of a server adds to the environment that provenance tells: the fields of
 * all files `*.json` in `directory`, each an object. A field of a later file, by name, replaces
 * that of an earlier one. A missing directory adds nothing. Throws KILN_FILE_UNREADABLE and
 * KILN_SERVER_CONFIG_INVALID.
 */
export function readProvenanceEnv(directory: string): Readonly<Record<string, unknown>> {
  const files = attempt(reading('the directory', directory), () => filesOf(directory));
  const fields = files.flatMap((name) => Object.entries(fieldsOf(join(directory, name))));
  return Object.fromEntries(fields);
}

function filesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.name.endsWith('.json') && !entry.isDirectory())
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function fieldsOf(path: string): Readonly<Record<string, unknown>> {
  const text = attempt(reading('the file', path), () => readRegularFile(path, 1 << 20).toString());
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (error) {
    throw invalid(path, `is not JSON: ${messageOf(error)}`, error);
  }
  if (!isTable(fields)) throw invalid(path, 'is not a JSON object');
  const builtin = BUILTIN.find((name) => Object.hasOwn(fields, name));
  if (builtin) throw invalid(path, `sets ${builtin}, which provenance has of itself`);
  return fields;
}

function invalid(path: string, why: string, cause?: unknown): KilnError {
  return new KilnError('KILN_SERVER_CONFIG_INVALID', `${path} ${why}`, {
    place: { kind: 'path', path },
    hint: 'write an object of JSON, whose fields are told by provenance',
    cause,
  });
}
