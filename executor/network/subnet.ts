/** Which addresses the namespaces of this process get: a /22, cut into 256 networks of four addresses, one for each veth pair. */

/** Private ranges (RFC 1918) that other engines do not take from by default, as their first two bytes. */
const RANGES: readonly (readonly [number, number])[] = [
  [10, 201],
  [10, 202],
  [172, 30],
  [192, 168],
];
const BLOCKS = 64;
const SIZE = 1024;

/** A /22 by its first address as a number. */
export type Block = number;

/**
 * Blocks that no route of the host overlaps, the one to try first at the front. `routes` is /proc/net/route; `start` turns the order, so
 * that two processes seldom try the same one first.
 */
export function freeBlocks(routes: string, start: number): readonly Block[] {
  const taken = parseRoutes(routes);
  const blocks = RANGES.flatMap(([a, b]) => Array.from({ length: BLOCKS }, (_, at) => ((a << 24) >>> 0) + (b << 16) + at * SIZE));
  const turned = [...blocks.slice(start % blocks.length), ...blocks.slice(0, start % blocks.length)];
  return turned.filter((block) => !taken.some(({ first, last }) => block <= last && block + SIZE - 1 >= first));
}

/** The networks of /proc/net/route but for the default one: little-endian hexadecimal. */
function parseRoutes(text: string): { readonly first: number; readonly last: number }[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const [destination, mask] = [fields[1], fields[7]].map((field) => fromLittleEndian(field ?? ''));
      if (destination === undefined || mask === undefined || mask === 0) return [];
      return [{ first: destination, last: destination + (0xffffffff - mask) }];
    });
}

function fromLittleEndian(text: string): number | undefined {
  return /^[0-9A-F]{8}$/i.test(text) ? Buffer.from(text, 'hex').readUInt32LE(0) : undefined;
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

export function formatBlock(block: Block): string {
  return `${formatAddress(block)}/22`;
}

/** How many pairs a block has. */
export const PAIRS = SIZE / 4;

/** The two addresses of the pair number `at`: the host's end and the namespace's. */
export function pairOf(block: Block, at: number): { readonly gateway: string; readonly address: string } {
  return { gateway: formatAddress(block + at * 4 + 1), address: formatAddress(block + at * 4 + 2) };
}
