import type { Digest } from '../base/digest.ts';
import type { MaybeDeferred } from './deferred.ts';
import {
  aliasesOf,
  checkSightings,
  definitionOf,
  identityByContent,
  inheritOutlook,
  needsContent,
  partsOf,
} from './keying.ts';
import {
  type Identity,
  identityOf,
  type Keying,
  type Node,
  OUTLOOK,
  type State,
  unreachable,
  WANT,
  type Want,
  worsenOutlook,
} from './state.ts';

/**
 * What a transition may look up and start. Implemented by the scheduler. All calls return at once:
 * work that they start ends later and causes another transition.
 */
export interface Effects<R> {
  /** Raises what is wanted of a node. It is queued for a move. */
  ask(node: Node<R>, want: Want): void;
  startMap(node: Node<R>): void;
  startDigest(node: Node<R>, keying: Keying<R>, index: number): void;
  startRun(node: Node<R>, identity: Identity): void;
  /** True when another machine may run the node. */
  mayGoAway(node: Node<R>): boolean;
  startAway(node: Node<R>, identity: Identity): void;
  /** The key that a link leads to in the cache. The link is a definition key or a sighting. */
  resolve(definition: Digest): Digest | undefined;
  /** The results of the record of a key, or undefined if there is none that can be used. */
  load(key: Digest, node: Node<R>): readonly MaybeDeferred<R>[] | undefined;
  /** The node that executes `key` in this solver, or has executed it. */
  leader(key: Digest): Node<R> | undefined;
  /** Makes the node the leader of the key. */
  lead(key: Digest, node: Node<R>): void;
  /**
   * True while a cancelled execution of `key` has not ended. `node` is queued for a move when it
   * has.
   */
  isEnding(key: Digest, node: Node<R>): boolean;
}

/**
 * Returns the next state of a node, or the same object if it must wait. Called whenever the want of
 * the node, or the state of a node that it observes, has changed, and after each move of the node
 * itself. A state changes only by this function or by the end of a flight.
 */
export function transition<R>(node: Node<R>, effects: Effects<R>): State<R> {
  const { state } = node;
  switch (state.kind) {
    case 'new':
      if (node.want === WANT.nothing) return state;
      for (const input of node.inputs) effects.ask(input, WANT.key);
      effects.startMap(node);
      return { kind: 'mapping' };
    case 'keying':
      return inputFailure(node) ?? keying(node, state, effects);
    case 'keyed':
      return node.want === WANT.result ? keyed(node, state.identity, effects) : state;
    case 'following':
      return following(state, effects) ?? state;
    case 'collecting':
      return inputFailure(node) ?? collecting(node, state, effects);
    case 'mapping':
    case 'away':
    case 'running':
    case 'done':
    case 'failed':
      return state;
    default:
      return unreachable(state);
  }
}

function keying<R>(
  node: Node<R>,
  state: State<R> & { kind: 'keying' },
  effects: Effects<R>,
): State<R> {
  const { keying } = state;
  const before = keying.outlook;
  inheritOutlook(node, keying);
  const identified = node.inputs.every((input) => identityOf(input.state));
  if (keying.outlook === OUTLOOK.volatile) {
    const known = keying.map.volatile || identified;
    if (known)
      return { kind: 'keyed', identity: { key: undefined, fresh: false, links: [], parts: [] } };
  } else if (identified) {
    const moved = byDefinition(node, keying, effects);
    if (moved) return moved;
  }
  checkSightings(node, keying, (link) => effects.resolve(link) !== undefined);
  // The op will certainly run. Its inputs are started now, while the rest of the key is awaited.
  if (keying.outlook >= OUTLOOK.hopeless && node.want === WANT.result && !effects.mayGoAway(node))
    askAll(node, effects);
  readContents(node, keying, effects);
  const hasKey = keying.readsContent && keying.outlook !== OUTLOOK.volatile;
  const identity = hasKey ? identityByContent(node, keying) : undefined;
  if (identity) return { kind: 'keyed', identity };
  // A new state object notifies the readers of this node that its outlook has become hopeless.
  return keying.outlook === before || keying.outlook < OUTLOOK.hopeless
    ? state
    : { kind: 'keying', keying };
}

/**
 * The move of a node whose inputs all have an identity. If no input is read by content, the
 * definition key is the key. Otherwise it is looked up in the cache. Undefined if the definition
 * key leads to no usable record, so that the content decides.
 */
function byDefinition<R>(
  node: Node<R>,
  keying: Keying<R>,
  effects: Effects<R>,
): State<R> | undefined {
  const fresh = keying.outlook === OUTLOOK.fresh;
  if (!keying.readsContent)
    return {
      kind: 'keyed',
      identity: { key: definitionOf(node, keying), fresh, links: [], parts: partsOf(node, keying) },
    };
  if (keying.outlook >= OUTLOOK.byContent) return undefined;
  worsenOutlook(keying, OUTLOOK.byContent);
  const definition = definitionOf(node, keying);
  const key = definition && effects.resolve(definition);
  if (!key) return undefined;
  const identity: Identity = {
    key,
    fresh,
    links: [],
    parts: partsOf(node, keying),
    aliases: () => aliasesOf(node, keying),
  };
  if (effects.leader(key)) return { kind: 'keyed', identity };
  // The link alone does not prove what the inputs hold. Their content is skipped only if the record
  // can be used.
  const results = effects.load(key, node);
  return results && { kind: 'done', identity, results, how: 'cached' };
}

function readContents<R>(node: Node<R>, keying: Keying<R>, effects: Effects<R>): void {
  node.inputs.forEach((input, index) => {
    if (keying.contents[index] !== undefined || !needsContent(node, keying, index)) return;
    effects.ask(input, WANT.result);
    if (input.state.kind !== 'done') return;
    keying.contents[index] = 'under way';
    effects.startDigest(node, keying, index);
  });
}

function keyed<R>(node: Node<R>, identity: Identity, effects: Effects<R>): State<R> {
  const { key, fresh } = identity;
  if (!key) return { kind: 'collecting', identity };
  const leader = effects.leader(key);
  if (leader && leader !== node) {
    leader.observers.add(node);
    return { kind: 'following', identity, leader };
  }
  // A cancelled execution may still finish and save its record. Two executions of one key must not
  // run at the same time.
  if (effects.isEnding(key, node)) return node.state;
  const results = fresh ? undefined : effects.load(key, node);
  if (results) return { kind: 'done', identity, results, how: 'cached' };
  effects.lead(key, node);
  if (effects.mayGoAway(node)) {
    effects.startAway(node, identity);
    return { kind: 'away', identity };
  }
  return { kind: 'collecting', identity };
}

function following<R>(
  state: State<R> & { kind: 'following' },
  effects: Effects<R>,
): State<R> | undefined {
  const { identity, leader } = state;
  if (leader.state.kind === 'done')
    return { kind: 'done', identity, results: leader.state.results, how: 'shared' };
  if (leader.state.kind === 'failed') return leader.state;
  // The leader was cancelled. The first of its followers to move becomes the new leader.
  if (!identity.key || effects.leader(identity.key) !== leader) return { kind: 'keyed', identity };
  return undefined;
}

function collecting<R>(
  node: Node<R>,
  state: State<R> & { kind: 'collecting' },
  effects: Effects<R>,
): State<R> {
  askAll(node, effects);
  if (!node.inputs.every((input) => input.state.kind === 'done')) return state;
  effects.startRun(node, state.identity);
  return { kind: 'running', identity: state.identity };
}

function askAll<R>(node: Node<R>, effects: Effects<R>): void {
  for (const input of node.inputs) effects.ask(input, WANT.result);
}

/**
 * The failed state of an input, if any. A node takes it over, so that the failure reaches the
 * vertices that the solve was called for.
 */
function inputFailure<R>(node: Node<R>): State<R> | undefined {
  return node.inputs.find((input) => input.state.kind === 'failed')?.state;
}
