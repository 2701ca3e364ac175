import { errnoOf, KilnError } from '../base/errors.ts';
import type { Root } from '../snapshotter/sys/rooted.ts';

/** The ids of a process, and its home directory for HOME. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** The supplementary groups, including the primary one. */
  readonly additionalGids: readonly number[];
  readonly home: string;
}

/** A larger passwd or group file in an image is refused, not read. */
const MAX_FILE = 10 << 20;
const MAX_ID = 2 ** 31 - 1;

/**
 * Looks up `spec` (`name`, `uid`, `name:group`, `uid:gid`, `:group`; empty is root) in the tree's
 * own /etc/passwd and /etc/group, as BuildKit does (moby/sys/user GetExecUser). A number is always
 * an id: it needs no entry, and its group is 0 without one. The groups of a known user count only
 * when no group was named. Throws KILN_USER_UNKNOWN, KILN_USER_FILE.
 */
export function resolveUser(root: Root, spec: string): ResolvedUser {
  const [userPart = '', groupPart = ''] = split(spec);
  const entry = findUser(readLines(root, '/etc/passwd'), userPart === '' ? '0' : userPart);
  const uid = entry?.uid ?? idOf(userPart === '' ? '0' : userPart, 'user', spec);
  let gid = entry?.gid ?? 0;
  let additional: number[] = [];
  if (groupPart !== '')
    gid = findGroup(readLines(root, '/etc/group'), groupPart) ?? idOf(groupPart, 'group', spec);
  else if (entry) additional = groupsOf(readLines(root, '/etc/group'), entry.name);
  return {
    uid,
    gid,
    additionalGids: [...new Set([...additional, gid])],
    home: entry ? entry.home : '/',
  };
}

/**
 * Splits at the first colon only. The rest may hold further colons, and is then not the name of any
 * group.
 */
function split(spec: string): string[] {
  const colon = spec.indexOf(':');
  return colon < 0 ? [spec] : [spec.slice(0, colon), spec.slice(colon + 1)];
}

interface Entry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

function findUser(lines: readonly string[], wanted: string): Entry | undefined {
  const id = parseId(wanted);
  for (const line of lines) {
    const [name = '', , uid = '', gid = '', , home = ''] = line.split(':');
    const entry = {
      name,
      uid: Number.parseInt(uid, 10) || 0,
      gid: Number.parseInt(gid, 10) || 0,
      home,
    };
    if (id === undefined ? name === wanted : entry.uid === id) return entry;
  }
  return undefined;
}

function findGroup(lines: readonly string[], wanted: string): number | undefined {
  const id = parseId(wanted);
  for (const line of lines) {
    const [name = '', , gid = ''] = line.split(':');
    const value = Number.parseInt(gid, 10) || 0;
    if (id === undefined ? name === wanted : value === id) return value;
  }
  return undefined;
}

function groupsOf(lines: readonly string[], user: string): number[] {
  const found = [];
  for (const line of lines) {
    const [, , gid = '', members = ''] = line.split(':');
    if (members.split(',').includes(user)) found.push(Number.parseInt(gid, 10) || 0);
  }
  return found;
}

function parseId(text: string): number | undefined {
  return /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
}

/** The id for `text` when the files have no such name. */
function idOf(text: string, what: 'user' | 'group', spec: string): number {
  const id = parseId(text);
  const file = what === 'user' ? '/etc/passwd' : '/etc/group';
  if (id === undefined) {
    throw new KilnError(
      'KILN_USER_UNKNOWN',
      `unable to find ${what} ${text}: no matching entry in ${file} of the image`,
      {
        hint:
          `make the ${what} in an earlier step (${what === 'user' ? 'adduser' : 'addgroup'} ` +
          `${text}), or write a number in USER ${spec}, which needs no entry`,
      },
    );
  }
  if (id < 0 || id > MAX_ID) {
    throw new KilnError('KILN_USER_UNKNOWN', `the ${what} id ${text} is out of range`, {
      hint: `ids are between 0 and ${MAX_ID}`,
    });
  }
  return id;
}

/**
 * The lines of a file of the tree without comments. Returns no lines when the file does not exist.
 * The tree may hold any kind of file under that name.
 */
function readLines(root: Root, path: string): readonly string[] {
  const text = readUserFile(root, path);
  if (text === undefined) return [];
  return text
    .toString('utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function readUserFile(root: Root, path: string): Buffer | undefined {
  try {
    return root.readFile(path, { max: MAX_FILE });
  } catch (error) {
    const reasons: Readonly<Record<string, string>> = {
      EFBIG: `is larger than ${MAX_FILE >> 20} MiB`,
      EINVAL: 'is not a regular file',
      ELOOP: 'is a chain of links without end',
    };
    const reason = reasons[errnoOf(error) ?? ''];
    if (reason === undefined) throw error;
    throw new KilnError('KILN_USER_FILE', `${path} of the image ${reason}`, {
      hint: 'An image like that is broken or hostile; repair the file in the stage that makes it.',
      cause: error,
    });
  }
}
