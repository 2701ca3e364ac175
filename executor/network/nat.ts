import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { inUserNamespace } from '../../snapshotter/sys/usernamespace.ts';
import type { FindProgram } from '../find-program.ts';
import { forwardObstacle, legacyObstacle, tableCommands } from './firewall.ts';
import { makeNamespace, type Namespace, turnOffIpv6, within } from './namespace.ts';
import { type Network, NetworkUnavailable } from './network.ts';
import { createNamespacePool } from './pool.ts';
import { interfaceIndex, openRouteSocket } from './route-socket.ts';
import { addAddress, addDefaultRoute, addPair, setUp, withoutOwnAddress } from './rtnetlink.ts';
import { type Block, formatBlock, freeBlocks, PAIRS, pairOf } from './subnet.ts';
import { complaint, runTool } from './tool.ts';

/**
 * A network by the kernel: each namespace has a veth pair and four addresses. One nftables table
 * translates the outgoing traffic of all of them. There is no bridge, so sandboxes do not see each
 * other's packets. Interfaces disappear with their namespace. The table is removed by this process,
 * or by the watchdog if this process is killed. The network is IPv4 only, like Docker's own bridge
 * by default.
 *
 * Servers on the host's loopback addresses cannot be reached. Servers on its other addresses can,
 * as with Docker's bridge.
 */
export interface NatOptions {
  /** Six characters that no other process of this host uses. They are part of interface names. */
  readonly mark: string;
  /** Any number. It chooses where the search for free addresses begins. */
  readonly start: number;
  /** Called with the table's name before it is made, so that the watchdog can remove it later. */
  readonly own: (table: string) => void;
  /** Called with a sentence about each permanent change of the host. */
  readonly note: (sentence: string) => void;
  readonly findProgram: FindProgram;
}

const FORWARDING = '/proc/sys/net/ipv4/ip_forward';

/** The path of the needed program, or why it is missing. */
export function natTool(find: FindProgram): { readonly nft: string } | string {
  const nft = find('nft');
  return nft === undefined ? 'the program nft is not installed (package nftables)' : { nft };
}

/**
 * Why the rules of iptables-legacy would block forwarding. Most hosts have no such rules, and then
 * no process is started.
 */
export function legacyRules(find: FindProgram): string | undefined {
  let tables: string;
  try {
    tables = readFileSync('/proc/net/ip_tables_names', 'latin1');
  } catch {
    return undefined;
  }
  return legacyObstacle(tables, () => {
    const program = find('iptables-legacy') ?? find('iptables');
    if (program === undefined) return undefined;
    const { status, stdout } = spawnSync(program, ['-S', 'FORWARD'], { encoding: 'utf8' });
    return status === 0 ? stdout : undefined;
  });
}

/** Opens the network. Throws NetworkUnavailable when this host does not let packets through. */
export async function openNat(options: NatOptions): Promise<Network> {
  if (inUserNamespace())
    throw new NetworkUnavailable('an ordinary user may not change the network of the host');
  const { findProgram } = options;
  const tool = natTool(findProgram);
  if (typeof tool === 'string') throw new NetworkUnavailable(tool);
  const legacy = legacyRules(findProgram);
  if (legacy !== undefined) throw new NetworkUnavailable(legacy);
  const interfaces = `kiln${options.mark}`;
  const blocks = freeBlocks(readFileSync('/proc/net/route', 'latin1'), options.start);
  const free = Array.from({ length: PAIRS }, (_, at) => at);
  const mtu = outgoingMtu();
  const poolIn = (block: Block) =>
    createNamespacePool(() =>
      inTurn(() => makePair({ findProgram, interfaces, block, free, mtu })),
    );
  // The first namespace is made while nft makes the table, in the block that will most likely be
  // taken. No sandbox gets it before the table is there.
  const [likely] = blocks;
  if (likely === undefined) throw new NetworkUnavailable(NO_RANGE);
  let pool = poolIn(likely);
  pool.makeAhead();
  let table: string | undefined;
  try {
    const reserved = await reserve(tool.nft, interfaces, blocks, options);
    table = reserved.table;
    if (reserved.block !== likely) {
      await pool.close();
      pool = poolIn(reserved.block);
    }
    forward(options.note);
    // The first namespace shows whether nat works at all. It then waits for the first sandbox.
    (await pool.lease()).release(false);
  } catch (error) {
    await pool.close();
    if (table !== undefined) await removeTable(tool.nft, table);
    throw error;
  }
  return {
    kind: 'nat',
    lease: () => pool.lease(),
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

/**
 * Makes the table. Its name holds the owner and the block. When two processes chose the same block,
 * both choose again.
 */
async function reserve(
  nft: string,
  interfaces: string,
  blocks: readonly Block[],
  { mark, own }: NatOptions,
): Promise<{ readonly block: Block; readonly table: string }> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const block = blocks[attempt === 0 ? 0 : Math.floor(Math.random() * blocks.length)]!;
    const table = tableName(mark, block);
    own(table);
    const made = await runTool(
      nft,
      ['-f', '-'],
      tableCommands(table, formatBlock(block), interfaces),
    );
    if (made.code !== 0)
      throw new NetworkUnavailable(`nft cannot make a table (${complaint(made)})`);
    const shared = tablesOf(made.output, block).some((name) => name !== table);
    const obstacle = forwardObstacle(made.output);
    if (!shared && obstacle === undefined) return { block, table };
    await removeTable(nft, table);
    if (obstacle !== undefined) throw new NetworkUnavailable(obstacle);
  }
  throw new NetworkUnavailable(NO_RANGE);
}

const ATTEMPTS = 8;
const NO_RANGE = 'no private address range is free on this host';

function tableName(mark: string, block: Block): string {
  return `kiln_${mark}_${blockName(block)}`;
}

function blockName(block: Block): string {
  return formatBlock(block).replaceAll(/[./]/g, '_');
}

/** The tables of all Kiln processes for a block, from a list of chains. */
function tablesOf(chains: string, block: Block): string[] {
  return [...chains.matchAll(/^table ip (kiln_\S+) \{/gm)]
    .map((match) => match[1]!)
    .filter((name) => name.endsWith(`_${blockName(block)}`));
}

async function removeTable(nft: string, table: string): Promise<void> {
  await runTool(nft, ['delete', 'table', 'ip', table], '');
}

/**
 * Turns IP forwarding on. It is not turned off again, because other programs may rely on it by
 * then. Docker and Podman do the same.
 */
function forward(note: (sentence: string) => void): void {
  if (readFileSync(FORWARDING, 'latin1').trim() === '1') return;
  try {
    writeFileSync(FORWARDING, '1');
  } catch {
    throw new NetworkUnavailable(
      'IP forwarding is off and cannot be turned on (net.ipv4.ip_forward)',
    );
  }
  note(
    'IP forwarding was off on this host (net.ipv4.ip_forward) and was turned on for the ' +
      'network of the steps',
  );
}

/**
 * The largest packet that the default route's interface takes. No interface of a sandbox may send
 * larger ones.
 */
function outgoingMtu(): number {
  const route = /^(\S+)\t00000000\t/m.exec(readFileSync('/proc/net/route', 'latin1'))?.[1];
  try {
    return Number(readFileSync(`/sys/class/net/${route}/mtu`, 'latin1')) || ETHERNET_MTU;
  } catch {
    return ETHERNET_MTU;
  }
}

const ETHERNET_MTU = 1500;

interface Pairs {
  readonly findProgram: FindProgram;
  /** The prefix of the names of the host's ends. */
  readonly interfaces: string;
  readonly block: Block;
  /**
   * Numbers of free pairs, in the order in which they were given back: the kernel removes an
   * interface some time after its namespace.
   */
  readonly free: number[];
  readonly mtu: number;
}

/**
 * Makes pairs one after the other. The kernel makes one interface at a time anyway, under a lock.
 * While it does, a write to a setting of an interface (`turnOffIpv6`) does not sleep but tries
 * again and again, and so the main thread would only use up the processor.
 */
function inTurn<T>(make: () => Promise<T>): Promise<T> {
  const made = turn.then(make);
  turn = made.catch(() => {});
  return made;
}

let turn: Promise<unknown> = Promise.resolve();

/** Makes one namespace with the addresses of the next free number. */
async function makePair({ findProgram, interfaces, block, free, mtu }: Pairs): Promise<Namespace> {
  const number = free.shift();
  if (number === undefined)
    throw new NetworkUnavailable(`all ${PAIRS} networks of this process are in use`);
  const namespace = await makeNamespace(findProgram);
  const { fd } = namespace;
  const close = async () => {
    free.push(number);
    await namespace.close();
  };
  try {
    const host = `${interfaces}${number.toString(36)}`;
    const { gateway, address } = pairOf(block, number);
    await makeHostEnd(host, gateway, { namespace: fd, mtu });
    await configureInside(fd, address, gateway);
    return { ...namespace, close };
  } catch (error) {
    await close();
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw new NetworkUnavailable(`the kernel makes no interface (${errno})`);
  }
}

const INSIDE = 'eth0';
/** Each pair has a network of four addresses. */
const PAIR_BITS = 30;

async function makeHostEnd(
  name: string,
  gateway: string,
  { namespace, mtu }: { readonly namespace: number; readonly mtu: number },
): Promise<void> {
  using routes = openRouteSocket();
  await routes.ask(addPair(name, { name: INSIDE, namespace }, mtu));
  const index = interfaceIndex(name);
  await routes.ask(withoutOwnAddress(index)).catch(withoutIpv6);
  turnOffIpv6(name);
  await routes.ask(addAddress(index, gateway, PAIR_BITS), setUp(index));
}

/** A kernel without IPv6 makes no such address anyway. */
function withoutIpv6(error: unknown): void {
  if (!['EAFNOSUPPORT', 'EOPNOTSUPP'].includes(errnoOf(error) ?? '')) throw error;
}

async function configureInside(fd: number, address: string, gateway: string): Promise<void> {
  const [routes, index] = within(fd, () => [openRouteSocket(), interfaceIndex(INSIDE)] as const);
  using _ = routes;
  await routes.ask(
    setUp(LOOPBACK),
    addAddress(index, address, PAIR_BITS),
    setUp(index),
    addDefaultRoute(index, gateway),
  );
}

/** The kernel gives the loopback interface of every namespace this number. */
const LOOPBACK = 1;
