import type { Digest } from '../base/digest.ts';
import type { KeyPart } from '../cache/cache.ts';
import { contentKey, definitionKey, type InputIdentity, opKey, sightingKey } from './keys.ts';
import type { CacheMap, InputKey, Vertex } from './solver.ts';
import {
  type Content,
  type Identity,
  identityOf,
  type Keying,
  type Node,
  OUTLOOK,
  worsenOutlook,
} from './state.ts';

/**
 * The state of a key of which nothing but the op is known yet. Throws a RangeError if the op does
 * not describe as many inputs as the vertex has.
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

/** Updates the outlook of a key from the states of the inputs. Does not access the cache. */
export function inheritOutlook<R>(node: Node<R>, keying: Keying<R>): void {
  keying.map.inputs.forEach((read, index) => {
    const input = node.inputs[index]!;
    const identity = identityOf(input.state);
    if (read.by === 'content') {
      if (identity && (identity.fresh || !identity.key)) worsenOutlook(keying, OUTLOOK.byContent);
      return;
    }
    // An input without a key makes this vertex one without a key too, unless it reads the input by
    // content.
    if (identity && !identity.key) worsenOutlook(keying, OUTLOOK.volatile);
    if (identity?.fresh) worsenOutlook(keying, OUTLOOK.fresh);
    // The key of this input is still being made, but no record can match it. So none can match this
    // vertex either. Whether it will have a key is not known yet, so `volatile` is not passed on.
    if (input.state.kind === 'keying' && input.state.keying.outlook >= OUTLOOK.hopeless)
      worsenOutlook(
        keying,
        input.state.keying.outlook === OUTLOOK.fresh ? OUTLOOK.fresh : OUTLOOK.hopeless,
      );
  });
}

/**
 * Looks up the sightings of all inputs whose keys are known and were not looked up before. A
 * missing one makes the outlook worse. `isLinked` tells whether the cache has a link of that name.
 */
export function checkSightings<R>(
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
    worsenOutlook(keying, read.by === 'content' ? OUTLOOK.byContent : OUTLOOK.hopeless);
  });
}

/** True when input `index` is read by content and no definition key can make that unnecessary. */
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
 * The definition key, once all inputs have keys. Before that it is undefined. With a volatile input
 * it stays undefined.
 */
export function definitionOf<R>(node: Node<R>, keying: Keying<R>): Digest | undefined {
  const inputs = node.inputs.map((input, index) => {
    const key = identityOf(input.state)?.key;
    return key && inputIdentity(node, index, key);
  });
  if (!inputs.every((input) => input !== undefined)) return undefined;
  return definitionKey(keying.op, reads(keying), inputs);
}

/**
 * The identity of a node by its content key. Undefined until the digest of every input that is read
 * by content, and the key of every other, is known.
 */
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
    contents: contentsOf(keying),
    indexes: indexesOf(keying),
    aliases: () => aliasesOf(node, keying),
  };
}

function contentsOf<R>(keying: Keying<R>): ReadonlyMap<number, Digest> {
  const contents = new Map<number, Digest>();
  for (const input of keying.contents.keys()) {
    const content = contentAt(keying, input);
    if (content) contents.set(input, content.digest);
  }
  return contents;
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
 * Every link by which a later build can find the record of this node: its definition key, if it has
 * one, and the sightings of all inputs whose keys are known.
 */
export function aliasesOf<R>(node: Node<R>, keying: Keying<R>): readonly Digest[] {
  const definition = keying.outlook === OUTLOOK.volatile ? undefined : definitionOf(node, keying);
  const sightings = keying.map.inputs.flatMap((read, index) => {
    const input = keyedInput(node, index);
    return input ? [sightingKey(keying.op, index, read, input)] : [];
  });
  return definition ? [definition, ...sightings] : sightings;
}

/**
 * The named parts of the key, the op's own first. They are kept with the record, to explain a later
 * miss.
 */
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

/** The reads without their type of result, which keys do not depend on. */
function reads<R>(keying: Keying<R>): readonly InputKey<never>[] {
  return keying.map.inputs as readonly InputKey<never>[];
}
