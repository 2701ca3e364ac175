/**
 * The addresses for the namespaces of this process: a /22 block, cut into 256 networks of four
 * addresses, one for each veth pair.
 */

/** Private ranges (RFC 1918) that other engines do not use by default, as their first two bytes. */
const RANGES: readonly (readonly [number, number])[] = [
  [10, 201],
  [10, 202],
  [172, 30],
  [192, 168],
];
const BLOCKS = 64;
const SIZE = 1024;

/** A block is named by its first address, as a number. */
export type Block = number;

/**
 * Blocks that no route of the host overlaps, in the order in which to try them. `routes` is
 * /proc/net/route. `start` rotates the order, so that two processes seldom try the same block
 * first.
 */
export function freeBlocks(routes: string, start: number): readonly Block[] {
  const taken = parseRoutes(routes);
  const blocks = RANGES.flatMap(([a, b]) =>
    Array.from({ length: BLOCKS }, (_, at) => ((a << 24) >>> 0) + (b << 16) + at * SIZE),
  );
  const turned = [
    ...blocks.slice(start % blocks.length),
    ...blocks.slice(0, start % blocks.length),
  ];
  return turned.filter(
    (block) => !taken.some(({ first, last }) => block <= last && block + SIZE - 1 >= first),
  );
}

/**
 * Parses the networks of /proc/net/route (little-endian hexadecimal), without the default route.
 */
function parseRoutes(text: string): { readonly first: number; readonly last: number }[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const [destination, mask] = [fields[1], fields[7]].map((field) =>
        fromLittleEndian(field ?? ''),
      );
      if (destination === undefined || mask === undefined || mask === 0) return [];
      return [{ first: destination, last: destination + (0xffffffff - mask) }];
    });
}

function fromLittleEndian(text: string): number | undefined {
  return /^[0-9A-F]{8}$/i.test(text) ? Buffer.from(text, 'hex').readUInt32LE(0) : undefined;
}

function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}

export function formatBlock(block: Block): string {
  return `${formatAddress(block)}/22`;
}

/** The number of pairs in a block. */
export const PAIRS = SIZE / 4;

/** The two addresses of pair number `at`: the host's end and the namespace's end. */
export function pairOf(
  block: Block,
  at: number,
): { readonly gateway: string; readonly address: string } {
  return { gateway: formatAddress(block + at * 4 + 1), address: formatAddress(block + at * 4 + 2) };
}
