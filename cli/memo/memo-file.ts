import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { memosOf } from '../../snapshotter/store/memos.ts';
import { type IdentityNumbers, type LinkEnd, NUMBERS } from './identity.ts';
import { quickSum, wordsOf } from './quick-sum.ts';

/**
 * # What is kept of a build that found everything made
 *
 * A memo says on what such a build relied, and what it showed and logged. When all of that is still
 * the same, the next call with the same words shows the same, and does no more (decision 062).
 */
export interface Memo {
  /** When the memo was made, and until when it may be used: milliseconds since 1970. */
  readonly made: number;
  readonly until: number;
  readonly root: string;
  /** The files of the store, and those that the build read, with their identities. */
  readonly store: readonly FileState[];
  readonly files: readonly FileState[];
  /** Directories by paths that lead through links, with their paths without. */
  readonly realPaths: readonly (readonly [path: string, real: string])[];
  readonly questions: readonly MemoQuestion[];
  /** The first and the last line of the log, without what says which build it is and its times. */
  readonly logHeader: Readonly<Record<string, unknown>>;
  readonly logEnd: Readonly<Record<string, unknown>>;
  /** What was shown. Between two parts is the time that registries took, in seconds. */
  readonly shown: readonly string[];
  readonly shownOn: 1 | 2;
  /** The directory that steps read. Empty when they read none. */
  readonly tree: string;
}

/** Null in place of the identity means that nothing is there. */
export type FileState = readonly [path: string, end: LinkEnd, identity: IdentityNumbers | null];

/** A HEAD, and what the answer has to say. */
export interface MemoQuestion {
  readonly isSecure: boolean;
  readonly host: string;
  readonly port: number;
  /** The request, to be sent as it is, up to the empty line. */
  readonly request: string;
  /** The file that remembers a token which the registry gives to anybody, if it wants one. */
  readonly tokenFile?: string | undefined;
  readonly digest: string;
  /** The file that remembers what the tag means, and its text. */
  readonly tagFile: string;
  readonly tagText: string;
}

/** A memo with its long parts. */
export interface MemoParts {
  readonly memo: Memo;
  /** The lines of the log between the first and the last. Their times are BEFORE and AFTER. */
  readonly log: string;
  /** What was looked up below `memo.tree`: `names` between NUL bytes, five numbers for each. */
  readonly names: string;
  readonly numbers: Float64Array;
}

/** These stand in a log for the times before and after the answers of registries. */
export const BEFORE = 1_000_000_000_017;
export const AFTER = 1_000_000_000_091;

/** Larger memos are not kept. */
export const MAX_MEMO = 16 << 20;

const MAGIC = 'KILNMEM1';
const HEADER = 32;

/**
 * The bytes of a memo:
 *
 *     "KILNMEM1" | sum u32 | lengths of document, log and names u32[3] | count u32 | 0 u32
 *     | document | log | zeros up to 4 | names | zeros up to 8 | f64[5 * count]
 *
 * The sum is over all in front of the names. A name or number that is damaged makes a difference to
 * what is found on the disk.
 */
export function memoToBytes({ memo, log, names, numbers }: MemoParts): Buffer {
  const [document, logged, named] = [JSON.stringify(memo), log, names].map((text) =>
    Buffer.from(text),
  ) as [Buffer, Buffer, Buffer];
  const places = placesOf(document.length, logged.length, named.length, numbers.length / NUMBERS);
  const bytes = Buffer.alloc(places.end);
  bytes.write(MAGIC, 'latin1');
  for (const [index, length] of [
    document.length,
    logged.length,
    named.length,
    numbers.length / NUMBERS,
  ].entries())
    bytes.writeUInt32LE(length, 12 + index * 4);
  document.copy(bytes, HEADER);
  logged.copy(bytes, places.log);
  named.copy(bytes, places.names);
  bytes.set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength), places.numbers);
  bytes.writeUInt32LE(sumOf(bytes, places.names), 8);
  return bytes;
}

/** Undefined for a damaged memo, and for one of another form. */
export function memoFromBytes(bytes: Buffer): MemoParts | undefined {
  if (bytes.length < HEADER || bytes.toString('latin1', 0, 8) !== MAGIC) return undefined;
  const at = (index: number) => bytes.readUInt32LE(12 + index * 4);
  const count = at(3);
  const places = placesOf(at(0), at(1), at(2), count);
  if (bytes.length !== places.end || bytes.byteOffset % 8 !== 0) return undefined;
  if (bytes.readUInt32LE(8) !== sumOf(bytes, places.names)) return undefined;
  return {
    memo: JSON.parse(bytes.toString('utf8', HEADER, HEADER + at(0))) as Memo,
    log: bytes.toString('utf8', places.log, places.log + at(1)),
    names: bytes.toString('utf8', places.names, places.names + at(2)),
    numbers: new Float64Array(bytes.buffer, bytes.byteOffset + places.numbers, NUMBERS * count),
  };
}

function placesOf(document: number, log: number, names: number, count: number) {
  const logAt = HEADER + document;
  const namesAt = Math.ceil((logAt + log) / 4) * 4;
  const numbersAt = Math.ceil((namesAt + names) / 8) * 8;
  return { log: logAt, names: namesAt, numbers: numbersAt, end: numbersAt + 8 * NUMBERS * count };
}

/** The sum of the bytes from 12 to `end`. */
function sumOf(bytes: Buffer, end: number): number {
  return quickSum(new Int32Array(bytes.buffer, bytes.byteOffset + 12, (end - 12) >> 2))[0];
}

/** The process that calls, as far as a build may depend on it. */
export interface MemoCaller {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  /** The version of Kiln's code. */
  readonly bundle: string;
}

/**
 * Variables on which no build depends, and which differ from shell to shell. That of the store is
 * in its root.
 */
const NOT_READ = /^(_|OLDPWD|PWD|SHLVL|KILN_ROOT)$/;

/**
 * The path of the memo of a call, and the root of its store. Undefined for a user who is not root
 * of any user namespace yet. The name of the file is a sum over all that the caller gives, so what
 * stands in variables is not written, and cannot be found out from it. A power cut may take layers
 * that are not on the disk yet, so each boot has memos of its own. Throws where /proc is missing.
 */
export function memoPlace({ argv, env, cwd, uid, bundle }: MemoCaller) {
  const root = rootOf(argv, env, cwd, uid);
  if (root === undefined) return undefined;
  const variables = Object.entries(env)
    .filter(([name]) => !NOT_READ.test(name))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1');
  const call = JSON.stringify([bundle, process.version, boot, uid, root, cwd, argv, variables]);
  const name = Buffer.from(Uint32Array.from(quickSum(wordsOf(call))).buffer).toString('hex');
  return { root, path: join(memosOf(root), name) };
}

/** The store as store-root.ts finds it in the usual cases. Whoever keeps a memo compares. */
function rootOf(
  argv: readonly string[],
  env: MemoCaller['env'],
  cwd: string,
  uid: number,
): string | undefined {
  if (uid !== 0) return undefined;
  const flag = argv.findLastIndex((word) => /^--root(=|$)/.test(word));
  const given = flag < 0 ? undefined : (/=(.*)/s.exec(argv[flag]!)?.[1] ?? argv[flag + 1]);
  const named = given ?? env['KILN_ROOT'];
  if (named) return resolve(cwd, named);
  const map = env['KILN_ROOTLESS'];
  if (!map) return '/var/lib/kiln';
  const data = env['XDG_DATA_HOME'] || join(env['HOME'] || homedir(), '.local/share');
  return join(data, map === 'own' ? 'kiln-own-ids' : 'kiln');
}

/** The log of SQLite for the index of a store. */
export const logOf = (root: string): string => join(root, 'kiln.db-wal');

/** The files of the index of a store. It is the same as long as they are the same. */
export function indexFiles(root: string): readonly (readonly [path: string, end: LinkEnd])[] {
  return [
    [join(root, 'kiln.db'), 'link'],
    [logOf(root), 'log'],
    [join(root, 'kiln.db.damaged'), 'link'],
  ];
}

/** What decides whether the index and the contents of a store are the same. */
export function storeFiles(root: string): readonly (readonly [path: string, end: LinkEnd])[] {
  const contents = ['VERSION', 'layers', 'blobs/sha256'];
  return [...indexFiles(root), ...contents.map((name) => [join(root, name), 'link'] as const)];
}
