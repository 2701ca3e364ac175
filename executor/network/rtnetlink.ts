/**
 * Messages to the kernel about interfaces, addresses and routes (rtnetlink(7)), in the byte order
 * of the machines that Kiln runs on.
 */

/** A message without its length, which the socket fills in (route-socket.ts). */
export interface RouteMessage {
  /** RTM_… */
  readonly type: number;
  /** NLM_F_…, beside those that every request has. */
  readonly flags: number;
  readonly body: Buffer;
}

const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
/** NLM_F_EXCL and NLM_F_CREATE: what is there already is an error. */
const CREATE = 0x200 | 0x400;

const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const VETH_INFO_PEER = 1;
const ADDR_GEN_MODE_NONE = 1;
const IFF_UP = 1;

const AF_INET = 2;
const AF_INET6 = 10;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;

const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTN_UNICAST = 1;

/** A pair of interfaces: `name` here, `peer` in the namespace that the descriptor is open on. */
export function addPair(
  name: string,
  peer: { readonly name: string; readonly namespace: number },
  mtu: number,
): RouteMessage {
  const end = [
    link(),
    text(IFLA_IFNAME, peer.name),
    uint32(IFLA_MTU, mtu),
    uint32(IFLA_NET_NS_FD, peer.namespace),
  ];
  const body = Buffer.concat([
    link(),
    text(IFLA_IFNAME, name),
    uint32(IFLA_MTU, mtu),
    attribute(
      IFLA_LINKINFO,
      text(IFLA_INFO_KIND, 'veth'),
      attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, ...end)),
    ),
  ]);
  return { type: RTM_NEWLINK, flags: CREATE, body };
}

/** Interface number `index` will make itself no IPv6 address. */
export function withoutOwnAddress(index: number): RouteMessage {
  const mode = attribute(IFLA_INET6_ADDR_GEN_MODE, Buffer.from([ADDR_GEN_MODE_NONE]));
  const body = [link(index), attribute(IFLA_AF_SPEC, attribute(AF_INET6, mode))];
  return { type: RTM_NEWLINK, flags: 0, body: Buffer.concat(body) };
}

/** Interface number `index` begins to work. */
export function setUp(index: number): RouteMessage {
  return { type: RTM_NEWLINK, flags: 0, body: link(index, IFF_UP) };
}

/** An IPv4 address for interface number `index`, with the bits of its network. */
export function addAddress(index: number, address: string, bits: number): RouteMessage {
  // struct ifaddrmsg: family, prefix length, flags, scope, index.
  const head = Buffer.alloc(8);
  head.writeUInt8(AF_INET, 0);
  head.writeUInt8(bits, 1);
  head.writeUInt32LE(index, 4);
  const own = [attribute(IFA_LOCAL, bytesOf(address)), attribute(IFA_ADDRESS, bytesOf(address))];
  return { type: RTM_NEWADDR, flags: CREATE, body: Buffer.concat([head, ...own]) };
}

/** What goes anywhere else leaves by interface number `index`, to `gateway`. */
export function addDefaultRoute(index: number, gateway: string): RouteMessage {
  // struct rtmsg: family, lengths of both addresses, service, table, protocol, scope, type, flags.
  const head = Buffer.from([
    AF_INET,
    0,
    0,
    0,
    RT_TABLE_MAIN,
    RTPROT_BOOT,
    0,
    RTN_UNICAST,
    0,
    0,
    0,
    0,
  ]);
  const way = [attribute(RTA_GATEWAY, bytesOf(gateway)), uint32(RTA_OIF, index)];
  return { type: RTM_NEWROUTE, flags: CREATE, body: Buffer.concat([head, ...way]) };
}

/** struct ifinfomsg: family, type, index, flags, and which of the flags are meant. */
function link(index = 0, flags = 0): Buffer {
  const head = Buffer.alloc(16);
  head.writeInt32LE(index, 4);
  head.writeUInt32LE(flags, 8);
  head.writeUInt32LE(flags, 12);
  return head;
}

/** An attribute: its length, its type, and its value, which ends at a multiple of four bytes. */
function attribute(type: number, ...values: readonly Buffer[]): Buffer {
  const value = Buffer.concat(values);
  const length = 4 + value.length;
  const whole = Buffer.alloc(Math.ceil(length / 4) * 4);
  whole.writeUInt16LE(length, 0);
  whole.writeUInt16LE(type, 2);
  value.copy(whole, 4);
  return whole;
}

function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

function uint32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return attribute(type, bytes);
}

function bytesOf(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}
