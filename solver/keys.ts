import { type Digest, digestOfParts } from '../base/digest.ts';
import type { KeyPart } from '../cache/cache.ts';
import type { InputKey } from './solver.ts';

/**
 * How keys are computed. Every field is framed by its length (`digestOfParts`). Every kind of key
 * begins with its own name, so that a key of one kind never equals a key of another. Whoever
 * changes the meaning of a key raises the version in its name.
 */

/** An input that is identified by its key: the key of the vertex, and the number of the output. */
export interface InputIdentity {
  readonly key: Digest;
  readonly output: number;
}

/**
 * The key of the op alone: the names and values of its parts. The names are included because two
 * parts may swap their values.
 */
export function opKey(parts: readonly KeyPart[]): Digest {
  return digestOfParts(['kiln.op.v1', ...parts.flatMap((part) => [part.name, part.value])]);
}

/**
 * The key for which no file is read, made of the op's key and the key of every input. The selector
 * is part of it, because it decides what is read of the input.
 */
export function definitionKey(
  op: Digest,
  reads: readonly InputKey<never>[],
  inputs: readonly InputIdentity[],
): Digest {
  const fields: string[] = ['kiln.definition.v1', op];
  reads.forEach((read, index) => {
    const { key, output } = inputs[index]!;
    fields.push(read.by, read.selector ?? '', key, String(output));
  });
  return digestOfParts(fields);
}

/**
 * The key made of the bytes that the op reads. An input that is read by content is represented by
 * its content digest, every other one by its key.
 */
export function contentKey(
  op: Digest,
  reads: readonly InputKey<never>[],
  inputs: readonly (InputIdentity | Digest)[],
): Digest {
  const fields: string[] = ['kiln.content.v1', op];
  reads.forEach((read, index) => {
    const input = inputs[index]!;
    // The selector is included because a content digest is relative to the selection: two
    // selections with equal digests must not get the same key.
    fields.push(read.by, read.selector ?? '');
    if (typeof input === 'string') fields.push(input);
    else fields.push(input.key, String(input.output));
  });
  return digestOfParts(fields);
}

/**
 * The name of the fact "some build has seen this op read this input". It is saved as a link to each
 * record with a content key. If the link is missing, the cache has no record for any key made of
 * this op and this input, so the solver starts what the op reads without waiting for the whole key.
 */
export function sightingKey(
  op: Digest,
  index: number,
  read: InputKey<never>,
  input: InputIdentity,
): Digest {
  return digestOfParts([
    'kiln.sighting.v1',
    op,
    String(index),
    read.by,
    read.selector ?? '',
    input.key,
    String(input.output),
  ]);
}
