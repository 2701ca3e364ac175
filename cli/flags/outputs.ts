import { existsSync, statSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import { nearest } from '../../base/suggest.ts';
import { EXPORT_TYPES } from '../../exporter/output-spec.ts';
import { splitCsv } from '../arguments.ts';
import type { OutputFlag } from '../build-options.ts';

/** `cacheonly` has no exporter. */
export const OUTPUT_TYPES: readonly OutputFlag['type'][] = [...EXPORT_TYPES, 'cacheonly'];

/**
 * Reads `--output` as buildx does: `type=…,dest=…`, `dest` alone for a directory, `-` for a tar on standard output. `isTerminal` says
 * whether standard output is one: bytes are never written to a terminal.
 */
export function parseOutputFlag(text: string, isTerminal: boolean): OutputFlag {
  const fields = splitCsv(text, '--output');
  const only = fields.length === 1 ? (fields[0] ?? '') : '';
  if (only !== '' && !only.startsWith('type=') && !/^[a-z-]+=/.test(only)) {
    return check(
      only === '-' ? { type: 'tar', dest: '-', attributes: new Map() } : { type: 'local', dest: only, attributes: new Map() },
      isTerminal,
    );
  }
  const attributes = new Map<string, string>();
  for (const field of fields) {
    const equals = field.indexOf('=');
    if (equals < 0) throw wrong(`invalid value ${field}`, 'write --output type=TYPE,dest=PATH');
    attributes.set(field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1));
  }
  const type = attributes.get('type') ?? '';
  if (type === '') throw wrong('type is required for output', `one of ${OUTPUT_TYPES.join(', ')}`);
  if (!isType(type)) {
    const close = nearest(type, OUTPUT_TYPES);
    throw wrong(`unknown output type: ${type}`, close ? `did you mean type=${close}?` : `one of ${OUTPUT_TYPES.join(', ')}`);
  }
  const dest = attributes.get('dest') ?? attributes.get('output');
  for (const name of ['type', 'dest', 'output']) attributes.delete(name);
  return check({ type, dest: dest ?? defaultDest(type), attributes }, isTerminal);
}

function isType(text: string): text is OutputFlag['type'] {
  return (OUTPUT_TYPES as readonly string[]).includes(text);
}

/** An archive without `dest` goes to standard output, as buildx does. `type=docker` without one is for the Docker engine. */
function defaultDest(type: OutputFlag['type']): string | undefined {
  return type === 'oci' || type === 'tar' ? '-' : undefined;
}

function check(spec: OutputFlag, isTerminal: boolean): OutputFlag {
  if (spec.type === 'local' && (spec.dest === undefined || spec.dest === ''))
    throw wrong('dest is required for local output', 'write --output type=local,dest=DIR');
  if (spec.dest === '-' && isTerminal)
    throw wrong(
      `dest file is required for ${spec.type} output: refusing to write to a terminal`,
      `write --output type=${spec.type},dest=FILE`,
    );
  const writesFile = spec.type === 'oci' || spec.type === 'docker' || spec.type === 'tar';
  if (
    writesFile &&
    spec.attributes.get('tar') !== 'false' &&
    spec.dest !== undefined &&
    spec.dest !== '-' &&
    existsSync(spec.dest) &&
    statSync(spec.dest).isDirectory()
  ) {
    throw wrong(`destination file ${spec.dest} is a directory`, 'name a file in it');
  }
  return spec;
}

function wrong(message: string, hint: string): KilnError {
  return new KilnError('KILN_OUTPUT_INVALID', message, { place: { kind: 'flag', flag: '--output' }, hint, exitCode: 2 });
}
