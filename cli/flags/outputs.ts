import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { nearest } from '../../base/suggest.ts';
import {
  EXPORT_TYPES,
  exportTraits,
  type OutputSpec,
  parseOutput,
} from '../../exporter/output-spec.ts';
import { fieldMap, splitCsv } from '../arguments.ts';
import { annotationAttributes } from './annotations.ts';
import { requireDeletable } from './local-delete.ts';

/** The types of `--output`. `cacheonly` discards the result. */
export const OUTPUT_TYPES: readonly string[] = [...EXPORT_TYPES, 'cacheonly'];

/** The values of the flags about outputs. */
export interface OutputFlags {
  readonly outputs: readonly string[];
  readonly annotations: readonly string[];
  readonly tags: readonly string[];
  readonly push: boolean;
  readonly load: boolean;
  /** Attestations are no OCI artifacts unless an output says so. */
  readonly noArtifacts?: boolean;
  /** Any directory may be emptied by mode=delete. */
  readonly mayDelete?: boolean;
  /** Where the result goes without a flag about it. */
  readonly otherwise: 'store' | 'nowhere';
}

/**
 * Parses `--output` as buildx does, together with `--push`, `--load`, `--annotation` and `--tag`.
 * An output is `type=…,dest=…`, or just a directory, or `-` for a tar on standard output. Without
 * any output the result is an image in the local store, or it is
 * nowhere (`otherwise`). Paths become absolute.
 *
 * `isTerminal` says whether standard output is a terminal, to which no archive is written. Throws
 * KILN_OUTPUT_INVALID and KILN_ANNOTATION_INVALID.
 */
export function parseOutputs(flags: OutputFlags, isTerminal: boolean): OutputSpec[] {
  const annotations = annotationAttributes(flags.annotations);
  const noArtifacts = flags.noArtifacts ? [['oci-artifact', 'false'] as const] : [];
  const outputs = flags.outputs.map(attributesOf);
  if (flags.push) {
    const image = outputs.find((output) =>
      ['image', 'registry'].includes(output.get('type') ?? ''),
    );
    if (image) image.set('push', 'true');
    else outputs.push(new Map([['type', 'registry']]));
  }
  if (flags.load) outputs.push(new Map([['type', 'docker']]));
  if (outputs.length === 0 && flags.otherwise === 'store')
    outputs.push(new Map([['type', 'image']]));
  return outputs.flatMap((attributes) => {
    const type = attributes.get('type') ?? '';
    if (type === 'cacheonly') {
      refuseAttributes(attributes);
      return [];
    }
    const all = exportTraits(type)?.isImage
      ? new Map([...noArtifacts, ...attributes, ...annotations])
      : attributes;
    const output = parseOutput(all, flags.tags);
    check(output, isTerminal);
    const placed = absolute(output);
    if (placed.type === 'local' && placed.deletes)
      requireDeletable(placed.directory, flags.mayDelete ?? false);
    return [placed];
  });
}

/** Nothing is written for `type=cacheonly`, so its attributes would have no effect. */
function refuseAttributes(attributes: ReadonlyMap<string, string>): void {
  const [first] = [...attributes.keys()].filter((name) => name !== 'type');
  if (first !== undefined)
    throw wrong(
      `type=cacheonly takes no ${first}, because it writes nothing`,
      `leave out ${first}, or choose another type`,
    );
}

/**
 * Returns the attributes of one `--output`. They contain a known `type`, and `dest` when the type
 * needs one.
 */
function attributesOf(text: string): Map<string, string> {
  const fields = splitCsv(text, '--output');
  const only = fields.length === 1 ? (fields[0] ?? '') : '';
  if (only !== '' && !only.startsWith('type=') && !/^[a-z-]+=/.test(only))
    return new Map([
      ['type', only === '-' ? 'tar' : 'local'],
      ['dest', only],
    ]);
  const attributes = fieldMap('--output', fields.map(attributeOf));
  const type = attributes.get('type') ?? '';
  checkType(type);
  const destKind = exportTraits(type)?.dest;
  // As in buildx, an archive without `dest` is written to standard output, and `type=docker` goes
  // to the Docker engine.
  const defaultDest = destKind === 'file' ? '-' : undefined;
  const dest = attributes.get('dest') ?? attributes.get('output') ?? defaultDest;
  attributes.delete('output');
  if (dest !== undefined) attributes.set('dest', dest);
  if (destKind === 'directory' && !dest)
    throw wrong('dest is required for local output', 'write --output type=local,dest=DIR');
  return attributes;
}

function attributeOf(field: string): readonly [name: string, value: string] {
  const equals = field.indexOf('=');
  if (equals < 0) throw wrong(`invalid value ${field}`, 'write --output type=TYPE,dest=PATH');
  return [field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1)];
}

function checkType(type: string): void {
  if (type === '')
    throw wrong('type is required for output', `write one of ${OUTPUT_TYPES.join(', ')}`);
  if (OUTPUT_TYPES.includes(type)) return;
  const close = nearest(type, OUTPUT_TYPES);
  throw wrong(
    `unknown output type: ${type}`,
    close ? `did you mean type=${close}?` : `write one of ${OUTPUT_TYPES.join(', ')}`,
  );
}

function check(output: OutputSpec, isTerminal: boolean): void {
  if (!('destination' in output)) return;
  const { type, destination } = output;
  if (destination?.kind === 'lent' && isTerminal)
    throw wrong(
      `dest file is required for ${type} output: refusing to write to a terminal`,
      `write --output type=${type},dest=FILE`,
    );
  if (destination?.kind === 'file' && isDirectory(destination.path))
    throw wrong(`destination file ${destination.path} is a directory`, 'give a file in it');
}

/** False also when the system refuses to say: the build then reports why, with the path. */
function isDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  } catch {
    return false;
  }
}

/** Makes paths absolute, because a request must not depend on the working directory. */
function absolute(output: OutputSpec): OutputSpec {
  if ('directory' in output) return { ...output, directory: resolve(output.directory) };
  if (!('destination' in output) || output.destination?.kind !== 'file') return output;
  return { ...output, destination: { kind: 'file', path: resolve(output.destination.path) } };
}

function wrong(message: string, hint: string): KilnError {
  return new KilnError('KILN_OUTPUT_INVALID', message, {
    place: { kind: 'flag', flag: '--output' },
    hint,
    exitCode: 2,
  });
}
