import { readFileSync } from 'node:fs';

let known: boolean | undefined;
let ids: number | undefined;

/**
 * True when this process is root of a user namespace only, not of the machine. Device numbers,
 * `trusted.*` attributes and ids outside the map are then out of reach (user_namespaces(7)).
 */
export function inUserNamespace(): boolean {
  known ??= !/^\s*0\s+0\s+4294967295\s*$/.test(uidMap());
  return known;
}

/** The number of user ids in this namespace. With 1, everything belongs to root. */
export function mappedIds(): number {
  ids ??= uidMap()
    .trim()
    .split('\n')
    .reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0), 0);
  return ids;
}

/**
 * The map has one line for each range: first id inside, first outside, count. A kernel without user
 * namespaces has no such file.
 */
function uidMap(): string {
  try {
    return readFileSync('/proc/self/uid_map', 'utf8');
  } catch {
    return '0 0 4294967295';
  }
}

/** The ids that exist in this namespace, from `uid_map` or `gid_map`. */
export function idRanges(
  name: 'uid_map' | 'gid_map',
): readonly { readonly first: number; readonly count: number }[] {
  const lines = readFileSync(`/proc/self/${name}`, 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [first = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
    return { first, count };
  });
}

/** The user's id outside of the user namespace of which this process is root. */
export function outerUser(): number {
  const uid = process.getuid?.() ?? 0;
  if (uid !== 0) return uid;
  const line = uidMap()
    .trim()
    .split('\n')
    .map((text) => text.trim().split(/\s+/).map(Number))
    .find(([first]) => first === 0);
  return line?.[1] ?? 0;
}
