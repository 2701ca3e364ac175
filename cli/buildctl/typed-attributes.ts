import { resolve } from 'node:path';
import { exportTraits, isStandardOutput, STANDARD_OUTPUT } from '../../exporter/output-spec.ts';
import type { OutputArrival, OutputWords, TypedAttributes } from '../../remote/build-words.ts';
import { splitCsv } from '../arguments.ts';
import { directoryAt } from '../context-directory.ts';
import { flagError } from '../flag-error.ts';

/** Parses `type=TYPE,NAME=VALUE,…`. The server says which types and names it knows. */
export function typedAttributes(text: string, flag: string): TypedAttributes {
  const { type, ...attrs } = Object.fromEntries(
    splitCsv(text, flag).map((field) => {
      const equals = field.indexOf('=');
      if (equals < 0) throw flagError(flag, `invalid value ${field}`, 'write NAME=VALUE');
      return [field.slice(0, equals).toLowerCase(), field.slice(equals + 1)] as const;
    }),
  );
  if (!type) throw flagError(flag, `${flag} requires type=<type>`, 'write type=registry,ref=NAME');
  return { type, attrs };
}

/** Parses a value of `--output`. `dest` says where the result comes to. */
export function outputAttributes(text: string, stdoutIsTerminal: boolean): OutputWords {
  const flag = '--output';
  const { type, attrs } = typedAttributes(text, flag);
  const { dest, ...sent } = attrs;
  if (attrs['output'] !== undefined)
    throw flagError(
      flag,
      `output=${attrs['output']} not supported for --output, you meant dest=${attrs['output']}?`,
    );
  const kind = exportTraits(type)?.dest ?? 'none';
  if (kind === 'none') {
    if (dest !== undefined)
      throw flagError(flag, `output ${dest} is not supported by ${type} exporter`);
    return { type, attrs };
  }
  const comes = arrivalOf(type, kind === 'directory' || attrs['tar'] === 'false', dest, attrs);
  if (comes.kind === 'bytes' && comes.place.kind === 'lent' && stdoutIsTerminal)
    throw flagError(
      flag,
      `output file is required for ${type} exporter. refusing to write to console`,
      'write dest=FILE',
    );
  return { type, attrs: sent, comes };
}

function arrivalOf(
  type: string,
  isDirectory: boolean,
  dest: string | undefined,
  { mode }: TypedAttributes['attrs'],
): OutputArrival {
  if (isDirectory) {
    if (!dest) throw flagError('--output', `output directory is required for ${type} exporter`);
    const path = resolve(dest);
    if (type !== 'local') return { kind: 'layout', path };
    return { kind: 'tree', path, deletes: /^delete$/i.test(mode ?? '') };
  }
  // Without a file it is standard output.
  if (!dest || isStandardOutput(dest))
    return { kind: 'bytes', place: { kind: 'lent', name: STANDARD_OUTPUT } };
  return { kind: 'bytes', place: { kind: 'file', path: resolve(dest) } };
}

/** The path of a local cache becomes absolute. */
export function cacheOf(text: string, flag: string, path: 'src' | 'dest'): TypedAttributes {
  const cache = typedAttributes(text, flag);
  const { [path]: value } = cache.attrs;
  if (cache.type !== 'local') return cache;
  if (!value) throw flagError(flag, `local cache requires ${path}`, `write type=local,${path}=DIR`);
  return { type: cache.type, attrs: { ...cache.attrs, [path]: resolve(value) } };
}

/** Parses values `NAME=VALUE`. One without a value is an error. */
export function namedTexts(texts: readonly string[], flag: string): Map<string, string> {
  return new Map(
    texts.map((text) => {
      const equals = text.indexOf('=');
      if (equals < 0) throw flagError(flag, `${JSON.stringify(text)} is not NAME=VALUE`);
      return [text.slice(0, equals), text.slice(equals + 1)] as const;
    }),
  );
}

/** Parses values `NAME=DIRECTORY`. Throws KILN_CONTEXT_NOT_FOUND. */
export function directoriesOf(texts: readonly string[], flag: string): Map<string, string> {
  return new Map([...namedTexts(texts, flag)].map(([name, path]) => [name, directoryAt(path)]));
}
