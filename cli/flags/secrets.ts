import { accessSync, constants, statSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { attempt } from '../../base/oserror.ts';
import type { BuildRequest } from '../../builder/request.ts';
import { brokenLink } from '../../snapshotter/sys/brokenlink.ts';
import { keyValues, splitCsv } from '../arguments.ts';
import type { SecretSpec, SshSpec } from '../build-options.ts';
import { flagError } from '../flag-error.ts';
import { homeDirectory } from '../user-directories.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const FLAG = '--secret';
const PLACE = { kind: 'flag', flag: FLAG } as const;
const KEYS = ['type', 'id', 'src', 'source', 'env', 'invalidate'];
/** The paths that mean standard input. */
export const STDIN: readonly string[] = ['-', '/dev/stdin', '/dev/fd/0', '/proc/self/fd/0'];

/** Other parts of a build that may come from standard input. */
type Piped = Pick<BuildRequest, 'context' | 'dockerfile'>;

/**
 * Parses the values of `--secret` as buildx does. Kiln adds the field `invalidate`, and `src=-` for
 * standard input. `warn` gets a sentence for each environment variable that is not set.
 *
 * Throws KILN_FLAG_VALUE, KILN_SECRET_NOT_FOUND, and KILN_STDIN_TWICE when more than one of the
 * secrets, the context and the Dockerfile comes from standard input.
 */
export function parseSecrets(
  specs: readonly string[],
  env: Environment,
  { context, dockerfile }: Piped,
  warn: (sentence: string) => void,
): SecretSpec[] {
  const secrets = distinct(specs.map((spec) => parseSecret(spec, env)));
  for (const { id, source } of secrets)
    if (source.kind === 'env' && env[source.name] === undefined)
      warn(`the variable ${source.name} is not set, so the secret ${id} does not exist`);
  const users = secrets
    .filter(({ source }) => source.kind === 'stdin')
    .map(({ id }) => `the secret ${id}`);
  if (users.length === 0) return secrets;
  if (context.kind === 'input') users.push('the context');
  else if (dockerfile.kind === 'input') users.push('the Dockerfile');
  if (users.length === 1) return secrets;
  throw new KilnError(
    'KILN_STDIN_TWICE',
    `standard input cannot be both ${users[0]} and ${users[1]}`,
    {
      place: PLACE,
      exitCode: 2,
    },
  );
}

/** Removes repeated secrets. Throws KILN_FLAG_VALUE when one id is given with different sources. */
function distinct(secrets: readonly SecretSpec[]): SecretSpec[] {
  const byId = new Map<string, SecretSpec>();
  for (const secret of secrets) {
    const earlier = byId.get(secret.id);
    if (earlier && JSON.stringify(earlier) !== JSON.stringify(secret))
      throw secretError(`the secret ${secret.id} is given twice, from different sources`);
    byId.set(secret.id, secret);
  }
  return [...byId.values()];
}

function parseSecret(spec: string, env: Environment): SecretSpec {
  const fields = keyValues(spec, FLAG);
  for (const key of fields.keys())
    if (!KEYS.includes(key))
      throw secretError(`unexpected key ${JSON.stringify(key)} in ${JSON.stringify(spec)}`);
  const id = fields.get('id') ?? '';
  if (id === '') throw secretError('a secret needs an id');
  return {
    id,
    source: sourceOf(id, fields, env),
    ...(isTrue(fields.get('invalidate')) && { invalidate: true }),
  };
}

function sourceOf(
  id: string,
  fields: ReadonlyMap<string, string>,
  env: Environment,
): SecretSpec['source'] {
  const type = fields.get('type') ?? '';
  if (!['', 'file', 'env'].includes(type))
    throw secretError(`${JSON.stringify(type)} is not a type of secret`);
  const path = fields.get('src') ?? fields.get('source');
  if (path !== undefined && fields.has('env'))
    throw secretError(`the secret ${id} is given a file and a variable`);
  const name = fields.get('env') ?? (type === 'env' ? (path ?? id) : undefined);
  if (name === '' || path === '') throw secretError(`the source of the secret ${id} is empty`);
  if (name !== undefined) return { kind: 'env', name };
  // Without a source, buildx looks for an environment variable with the id as its name, and then
  // for a file.
  if (path === undefined && type !== 'file' && env[id] !== undefined)
    return { kind: 'env', name: id };
  if (path !== undefined && STDIN.includes(path)) return { kind: 'stdin' };
  const file = expandHome(path ?? id);
  if (isReadable(id, file)) return { kind: 'file', path: file };
  throw new KilnError(
    'KILN_SECRET_NOT_FOUND',
    `the file of secret ${id} does not exist: ${file}${linkTarget(file)}`,
    {
      place: PLACE,
      hint: 'give a file with src= or an environment variable with env=',
      exitCode: 2,
    },
  );
}

/**
 * Returns false when the file does not exist. Throws KILN_SECRET_NOT_FOUND when it exists but
 * cannot be read.
 */
function isReadable(id: string, path: string): boolean {
  return attempt(
    {
      code: 'KILN_SECRET_NOT_FOUND',
      what: `the file of secret ${id} cannot be read`,
      path,
      exitCode: 2,
    },
    () => {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (!stat) return false;
      if (stat.isDirectory()) throw Object.assign(new Error(path), { code: 'EISDIR' });
      accessSync(path, constants.R_OK);
      return true;
    },
  );
}

/** Returns text for the error message about the target of a broken symlink. */
function linkTarget(path: string): string {
  const target = brokenLink(path);
  return target === undefined ? '' : `, a link to ${JSON.stringify(target)}`;
}

function isTrue(value: string | undefined): boolean {
  if (value === undefined || value === 'false') return false;
  if (value === 'true' || value === '') return true;
  throw secretError(`invalidate=${value} is neither true nor false`);
}

function secretError(what: string): KilnError {
  return flagError(FLAG, what, 'write id=NAME,src=FILE or id=NAME,env=NAME');
}

/**
 * Parses a value of `--ssh`: `default`, `ID=SOCKET[,raw=true]` or `ID=KEY[,KEY]`. Expands `~` in
 * paths.
 */
export function parseSsh(spec: string): SshSpec {
  const equals = spec.indexOf('=');
  if (equals < 0) return { id: spec === '' ? 'default' : spec, paths: [] };
  const id = spec.slice(0, equals);
  const fields = splitCsv(spec.slice(equals + 1), '--ssh');
  const paths = fields.filter((field) => !field.startsWith(RAW));
  if (id === '' || fields.includes(''))
    throw flagError(
      '--ssh',
      `--ssh ${JSON.stringify(spec)} does not name an agent and a socket or key`,
      'write default, NAME=SOCKET or NAME=KEY[,KEY]',
    );
  const isRaw =
    fields
      .filter((field) => field.startsWith(RAW))
      .map(rawOf)
      .at(-1) ?? false;
  if (isRaw && paths.length !== 1)
    throw flagError(
      '--ssh',
      `raw=true of ${JSON.stringify(id)} needs exactly one socket`,
      'write NAME=SOCKET,raw=true',
    );
  return { id, paths: paths.map(expandHome), ...(isRaw && { isRaw }) };
}

const RAW = 'raw=';

function rawOf(field: string): boolean {
  const value = field.slice(RAW.length);
  if (/^(?:1|t|true)$/i.test(value)) return true;
  if (/^(?:0|f|false)$/i.test(value)) return false;
  throw flagError('--ssh', `${field} is neither true nor false`, 'write NAME=SOCKET,raw=true');
}

function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? homeDirectory(process.env) + path.slice(1) : path;
}
