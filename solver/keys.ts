import { type Digest, digestOfParts } from '../base/digest.ts';
import type { KeyPart } from '../cache/cache.ts';
import type { InputKey } from './solver.ts';

/**
 * How keys are put together. Every field is framed by its length (digestOfParts) and every kind of
 * key begins with a name of its own, so that no key of one kind can equal a key of another. A
 * change of meaning here changes the version in the name.
 */

/**
 * What is known of an input that counts by its own key: the key of its vertex and which output is
 * read.
 */
export interface InputIdentity {
  readonly key: Digest;
  readonly output: number;
}

/** The key of the op alone: its parts, names included, since two parts may swap their values. */
export function opKey(parts: readonly KeyPart[]): Digest {
  return digestOfParts(['kiln.op.v1', ...parts.flatMap((part) => [part.name, part.value])]);
}

/**
 * The key that needs no bytes: the op's and every input's. The selector is in it, since it decides
 * what of the input is read.
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

/** The key made of the bytes that will be read; inputs that count by definition keep their key. */
export function contentKey(
  op: Digest,
  reads: readonly InputKey<never>[],
  inputs: readonly (InputIdentity | Digest)[],
): Digest {
  const fields: string[] = ['kiln.content.v1', op];
  reads.forEach((read, index) => {
    const input = inputs[index]!;
    // The selector stays in: a content digest is taken relative to the selection, and two
    // selections must not meet.
    fields.push(read.by, read.selector ?? '');
    if (typeof input === 'string') fields.push(input);
    else fields.push(input.key, String(input.output));
  });
  return digestOfParts(fields);
}

/**
 * The name of the fact "some build has seen this op read this input". Kept as a link beside each
 * record with a content key. When it is missing, no key over this input can be in the cache, and
 * the solver need not wait before it runs what the op reads.
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
