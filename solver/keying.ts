import type { Digest } from '../base/digest.ts';
import type { KeyPart } from '../cache/cache.ts';
import { contentKey, definitionKey, type InputIdentity, opKey, sightingKey } from './keys.ts';
import type { CacheMap, InputKey, Vertex } from './solver.ts';
import {
  type Content,
  darken,
  type Identity,
  identityOf,
  type Keying,
  type Node,
  OUTLOOK,
} from './state.ts';

/**
 * Begins the key of a vertex whose op has said how it reads its inputs. Throws when op and vertex
 * disagree.
 */
export function startKeying<R>(vertex: Vertex<R>, map: CacheMap<R>): Keying<R> {
  if (map.inputs.length !== vertex.inputs.length) {
    throw new RangeError(
      `${vertex.name}: the op describes ${map.inputs.length} inputs and has ` +
        `${vertex.inputs.length}`,
    );
  }
  return {
    map,
    op: opKey(map.parts),
    readsContent: map.inputs.some((read) => read.by === 'content'),
    outlook: map.volatile ? OUTLOOK.volatile : vertex.ignoreCache ? OUTLOOK.fresh : OUTLOOK.open,
    seen: map.inputs.map(() => undefined),
    contents: map.inputs.map(() => undefined),
  };
}

/** Takes in what has become known of the inputs, without a look into the cache. */
export function inherit<R>(node: Node<R>, keying: Keying<R>): void {
  keying.map.inputs.forEach((read, index) => {
    const input = node.inputs[index]!;
    const identity = identityOf(input.state);
    if (read.by === 'content') {
      if (identity && (identity.fresh || !identity.key)) darken(keying, OUTLOOK.byContent);
      return;
    }
    // Something made from what means nothing in another build means nothing there either, unless it
    // is read by content.
    if (identity && !identity.key) darken(keying, OUTLOOK.volatile);
    if (identity?.fresh) darken(keying, OUTLOOK.fresh);
    // An input whose key is not complete has not shown yet that it has none.
    if (input.state.kind === 'keying' && input.state.keying.outlook >= OUTLOOK.hopeless)
      darken(
        keying,
        input.state.keying.outlook === OUTLOOK.fresh ? OUTLOOK.fresh : OUTLOOK.hopeless,
      );
  });
}

/** Looks whether the cache has seen this op read each of the inputs whose keys are known. */
export function sight<R>(
  node: Node<R>,
  keying: Keying<R>,
  isLinked: (link: Digest) => boolean,
): void {
  if (!keying.readsContent) return;
  keying.map.inputs.forEach((read, index) => {
    const input = keyedInput(node, index);
    if (!input || keying.seen[index] !== undefined) return;
    keying.seen[index] = isLinked(sightingKey(keying.op, index, read, input));
    if (keying.seen[index] === true) return;
    darken(keying, read.by === 'content' ? OUTLOOK.byContent : OUTLOOK.hopeless);
  });
}

/** True when no definition key can spare reading the bytes of input `index`. */
export function needsContent<R>(node: Node<R>, keying: Keying<R>, index: number): boolean {
  if (keying.outlook === OUTLOOK.volatile || keying.map.inputs[index]!.by !== 'content')
    return false;
  const input = node.inputs[index]!.state;
  return (
    keying.outlook >= OUTLOOK.byContent ||
    (input.kind === 'keying' && input.keying.outlook >= OUTLOOK.hopeless)
  );
}

/**
 * The definition key, once all inputs have keys; undefined before that, and for ever when an input
 * is volatile.
 */
export function definitionOf<R>(node: Node<R>, keying: Keying<R>): Digest | undefined {
  const inputs = node.inputs.map((input, index) => {
    const key = identityOf(input.state)?.key;
    return key && inputIdentity(node, index, key);
  });
  if (!inputs.every((input) => input !== undefined)) return undefined;
  return definitionKey(keying.op, reads(keying), inputs);
}

/** The identity by content, once the content of every input that counts by it is known. */
export function identityByContent<R>(node: Node<R>, keying: Keying<R>): Identity | undefined {
  const inputs: (Digest | InputIdentity)[] = [];
  for (const [index, read] of keying.map.inputs.entries()) {
    const known =
      read.by === 'content' ? contentAt(keying, index)?.digest : keyedInput(node, index);
    if (!known) return undefined;
    inputs.push(known);
  }
  const definition = definitionOf(node, keying);
  return {
    key: contentKey(keying.op, reads(keying), inputs),
    fresh: keying.outlook === OUTLOOK.fresh,
    links: definition ? [definition, ...newSightings(node, keying)] : newSightings(node, keying),
    parts: partsOf(node, keying),
    indexes: indexesOf(keying),
    aliases: () => aliasesOf(node, keying),
  };
}

function indexesOf<R>(keying: Keying<R>): ReadonlyMap<number, () => Buffer> {
  const indexes = new Map<number, () => Buffer>();
  for (const input of keying.contents.keys()) {
    const index = contentAt(keying, input)?.index;
    if (index) indexes.set(input, index);
  }
  return indexes;
}

/**
 * Every link by which a later build may find the record of this content key: the definition key and
 * the sightings.
 */
export function aliasesOf<R>(node: Node<R>, keying: Keying<R>): readonly Digest[] {
  const definition = keying.outlook === OUTLOOK.volatile ? undefined : definitionOf(node, keying);
  const sightings = keying.map.inputs.flatMap((read, index) => {
    const input = keyedInput(node, index);
    return input ? [sightingKey(keying.op, index, read, input)] : [];
  });
  return definition ? [definition, ...sightings] : sightings;
}

/** The parts of the key, the op's own first, for explaining a later miss. */
export function partsOf<R>(node: Node<R>, keying: Keying<R>): readonly KeyPart[] {
  const parts = [...keying.map.parts];
  keying.map.inputs.forEach((read, index) => {
    const input = keyedInput(node, index);
    const content = contentAt(keying, index);
    if (read.by === 'content' && content) {
      parts.push(
        {
          name: `content of input ${index}${read.selector ? ` (${read.selector})` : ''}`,
          value: content.digest,
        },
        ...content.parts,
      );
    } else if (input) {
      parts.push({ name: `input ${index}`, value: `${input.key}#${input.output}` });
    }
  });
  return parts;
}

function newSightings<R>(node: Node<R>, keying: Keying<R>): Digest[] {
  return keying.map.inputs.flatMap((read, index) => {
    const input = keyedInput(node, index);
    return input && keying.seen[index] === false
      ? [sightingKey(keying.op, index, read, input)]
      : [];
  });
}

function keyedInput<R>(node: Node<R>, index: number): InputIdentity | undefined {
  const key = identityOf(node.inputs[index]!.state)?.key;
  return key && inputIdentity(node, index, key);
}

function inputIdentity<R>(node: Node<R>, index: number, key: Digest): InputIdentity {
  return { key, output: node.vertex.inputs[index]!.output };
}

function contentAt<R>(keying: Keying<R>, index: number): Content | undefined {
  const content = keying.contents[index];
  return typeof content === 'object' ? content : undefined;
}

/** Keys look at how an input is read, never at what type of result it has. */
function reads<R>(keying: Keying<R>): readonly InputKey<never>[] {
  return keying.map.inputs as readonly InputKey<never>[];
}
