import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { digestOf, hexOf } from '../../base/digest.ts';
import type { ProgressEvent, WarningEvent } from '../../base/progress.ts';
import { DEFAULT_DOMAIN } from '../../base/reference.ts';
import { readLog } from '../../builder/history/build-log.ts';
import type { ToldCounts } from '../../builder/history/step-counts.ts';
import { racyGuard } from '../../cache/contenthash/racy.ts';
import type { Answered } from '../../registry/exchange.ts';
import { DOCKER_HUB } from '../../registry/hosts.ts';
import { proxyFor, proxySettings } from '../../registry/proxy.ts';
import { memosOf } from '../../snapshotter/store/memos.ts';
import { putOwn } from '../../snapshotter/store/own-file.ts';
import type { LlbEdge, LlbVertex } from '../../solver/llb/graph.ts';
import { localName } from '../../solver/llb/sources.ts';
import { directoryAt } from '../context-directory.ts';
import { createPlainView } from '../progress/plain.ts';
import { CERTIFICATES, dockerConfigPath } from '../registry-options.ts';
import { warningText } from '../report.ts';
import { asCached, type LoggedEvent } from './as-cached.ts';
import {
  foundAt,
  type IdentityNumbers,
  identityAt,
  isWholeTurn,
  type LinkEnd,
  NUMBERS,
} from './identity.ts';
import {
  AFTER,
  BEFORE,
  type FileState,
  indexFiles,
  logOf,
  MAX_MEMO,
  type Memo,
  type MemoCaller,
  type MemoParts,
  type MemoQuestion,
  memoPlace,
  memoToBytes,
  storeFiles,
} from './memo-file.ts';
import type { BuildWatch } from './watch.ts';

/**
 * How long a memo may be used. A use of a record is written down by builds once in an hour, and
 * never by a memo.
 */
const LIFETIME_MS = 1_800_000;
const MOST_MEMOS = 32;
const MOST_BYTES = 64 << 20;

type Environment = Readonly<Record<string, string | undefined>>;

/** The call that a memo is for. */
export interface MemoCall extends MemoCaller {
  /** Where kiln.toml is. */
  readonly config: string;
}

/**
 * Keeps a memo of a build that has succeeded, if the next one will find everything made, change
 * nothing, and rely on nothing but what a memo names. To be called when the store is left, while
 * its index is still open. Throws errors of the system, after which the next build is made like
 * this one.
 */
export async function keepMemo(watch: BuildWatch, call: MemoCall): Promise<void> {
  const place = memoPlace(call);
  if (place?.root !== watch.root) return;
  const parts = await memoOf(watch, call);
  if (!parts) return;
  const bytes = memoToBytes(parts);
  if (bytes.length > MAX_MEMO) return;
  makeRoom(memosOf(watch.root), bytes.length);
  const temporary = `${place.path}.${process.pid}`;
  writeFileSync(temporary, bytes, { mode: 0o600 });
  putOwn(temporary, place.path);
}

/** Makes the directory of memos, and removes those that have ended and the oldest of too many. */
function makeRoom(directory: string, more: number): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const old = readdirSync(directory)
    .flatMap((name) => {
      const path = join(directory, name);
      const stat = foundAt(path, 'link');
      return stat ? [{ path, size: stat.size, made: stat.mtimeMs }] : [];
    })
    .sort((one, other) => other.made - one.made);
  let bytes = more;
  for (const [index, { path, size, made }] of old.entries()) {
    bytes += size;
    if (index >= MOST_MEMOS - 1 || bytes > MOST_BYTES || made < Date.now() - LIFETIME_MS)
      rmSync(path, { force: true });
  }
}

async function memoOf(watch: BuildWatch, call: MemoCall): Promise<MemoParts | undefined> {
  const { options, id, root, started } = watch;
  if (watch.isUnknown || id === undefined) return undefined;
  const hasWritten = !watch.foundEverything();
  if (hasWritten && watch.hasGotTags) return undefined;
  if (!watch.graphs.every(hasWritten ? isRepeatableGraph : isPlainGraph)) return undefined;
  const store = hasWritten ? ownStates(watch) : storeStates(watch);
  const files = fileStates(watch, call);
  const tree = treeOf(watch);
  const questions = questionsOf(watch.heads, root, call.env);
  if (!store || !files || !tree || !questions) return undefined;
  const told = await toldOf(watch, id, hasWritten);
  if (!told) return undefined;
  const now = Date.now();
  const memo: Memo = {
    made: now,
    until: Math.min(now, started) + LIFETIME_MS,
    root,
    store,
    ...files,
    questions,
    logHeader: told.header,
    logEnd: told.end,
    shown: told.shown,
    shownOn: options.progress === 'quiet' ? 1 : 2,
    tree: tree.root,
  };
  return { memo, log: told.log, names: tree.names, numbers: tree.numbers };
}

/** True for a graph that reads only images and directories of this host. */
function isPlainGraph(top: LlbEdge): boolean {
  return verticesOf(top).every(
    ({ op }) =>
      op.kind !== 'build' &&
      (op.kind !== 'source' || /^(docker-image|local):\/\//.test(op.source.identifier)) &&
      (op.kind !== 'exec' || (op.exec.cdiDevices?.length ?? 0) === 0),
  );
}

/** True when, in addition, each step that was run has left a record that the next build finds. */
function isRepeatableGraph(top: LlbEdge): boolean {
  const isLocal = ({ vertex: { op } }: LlbEdge) => localName(op) !== undefined;
  return (
    isPlainGraph(top) &&
    verticesOf(top).every(
      ({ op, inputs, metadata }) =>
        !metadata.ignoreCache && (op.kind === 'file' || !inputs.some(isLocal)),
    )
  );
}

function verticesOf(top: LlbEdge): readonly LlbVertex[] {
  const seen = new Set([top.vertex]);
  for (const { inputs } of seen) for (const { vertex } of inputs) seen.add(vertex);
  return [...seen];
}

/** Longer than the kernel's clock for file times takes from one tick to the next. Milliseconds. */
const TICK_MS = 12;

/**
 * The files of the store after a build that has written into the index. Undefined when others wrote
 * into it meanwhile, so that not all may be there any more on which this build relied, or when the
 * next change could leave everything as it is named here.
 */
function ownStates(watch: BuildWatch): readonly FileState[] | undefined {
  const { root } = watch;
  const states = statesOf(root);
  const contents = states.slice(indexFiles(root).length);
  const now = Date.now();
  const isSafe =
    isWholeTurn(logOf(root)) &&
    contents.every(([, , identity]) => identity && identity[4] < now - TICK_MS);
  // What was named is what this process has left if nobody has written until now.
  return isSafe && watch.isAlone() ? states : undefined;
}

/**
 * The files of the store. Undefined when the index has changed since before the build, or so
 * shortly before it that it could have changed without a new time.
 */
function storeStates(watch: BuildWatch): readonly FileState[] | undefined {
  const { root, started } = watch;
  if (!watch.foundEverything()) return undefined;
  const isRacy = racyGuard(root);
  const states = statesOf(root);
  const isSafe = states.every(
    ([, end, identity]) => !identity || !isRacy(named(identity, end), started),
  );
  return isSafe ? states : undefined;
}

function statesOf(root: string): readonly FileState[] {
  return storeFiles(root).map(([path, end]) => [path, end, identityAt(path, end) ?? null] as const);
}

function named([dev, ino, size, mtimeMs, last]: IdentityNumbers, end: LinkEnd) {
  return { dev, ino, size, mtimeMs, ctimeMs: end === 'log' ? mtimeMs : last };
}

/** The names that a Dockerfile has when the call names none. */
const DEFAULT_NAMES = ['Dockerfile', 'dockerfile', 'Containerfile'];

/** The files that were read outside of steps: configurations, the Dockerfile, ignore files. */
function fileStates(
  { options, started, heads }: BuildWatch,
  { env, config }: MemoCall,
): Pick<Memo, 'files' | 'realPaths'> | undefined {
  const directory = directoryAt(options.lentPaths.get('context')?.path ?? '.');
  const { dockerfile } = options.request;
  const own = dockerfile.kind === 'file' ? resolve(directory, dockerfile.path) : undefined;
  const dockerfiles = own ? [own] : DEFAULT_NAMES.map((name) => join(directory, name));
  const texts = [
    ...dockerfiles.flatMap((path) => [path, `${path}.dockerignore`]),
    join(directory, '.dockerignore'),
  ];
  if (!texts.every(isFileOrNothing)) return undefined;
  if (/max-age/.test(textAt(config))) return undefined;
  const hosts = heads.flatMap(({ url }) => [url.host, domainOf(url)]);
  const certificates = [...new Set(hosts)].map((host) => join(CERTIFICATES, host));
  if (certificates.some((path) => foundAt(path, 'target'))) return undefined;
  const states = [
    ...texts.map((path) => stateOf(path, 'link')),
    ...[config, dockerConfigPath(env), ...certificates].map((path) => stateOf(path, 'target')),
  ];
  const isSafe = states.every(
    ([path, end, identity]) =>
      !identity || !racyGuard(dirname(path))(named(identity, end), started),
  );
  const reals = own ? [directory, dirname(own)] : [directory];
  return isSafe
    ? {
        files: states,
        realPaths: reals.map((path) => [path, realpathSync.native(path)] as const),
      }
    : undefined;
}

function isFileOrNothing(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? true;
}

function textAt(path: string): string {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, 'utf8') : '';
}

function stateOf(path: string, end: 'link' | 'target'): FileState {
  return [path, end, identityAt(path, end) ?? null];
}

/** What steps looked up in their directory. Undefined when that may have changed meanwhile. */
function treeOf(watch: BuildWatch) {
  const { tree, paths, started } = watch;
  if (tree === undefined) return { root: '', names: '', numbers: new Float64Array(0) };
  if (lstatSync(tree).isSymbolicLink()) return undefined;
  const all = watch.numbers();
  const isRacy = racyGuard(tree);
  const rows = new Map<string, number>();
  for (const [index, path] of paths.entries()) {
    const row = index * NUMBERS;
    const before = rows.get(path);
    if (before === undefined) {
      const [dev, ino, size, mtimeMs, ctimeMs] = all.subarray(row, row + NUMBERS) as unknown as [
        number,
        number,
        number,
        number,
        number,
      ];
      if (ino !== 0 && isRacy({ dev, ino, size, mtimeMs, ctimeMs }, started)) return undefined;
      // A name that is not UTF-8 would not be found by this text, nor a path that is too long.
      if (!path.isWellFormed() || path.length > LONGEST) return undefined;
      rows.set(path, row);
    } else
      for (let at = 0; at < NUMBERS; at++) if (all[row + at] !== all[before + at]) return undefined;
  }
  const numbers = new Float64Array(rows.size * NUMBERS);
  let at = 0;
  for (const row of rows.values()) {
    numbers.set(all.subarray(row, row + NUMBERS), at);
    at += NUMBERS;
  }
  return { root: tree, names: [...rows.keys()].join('\0'), numbers };
}

/** UTF-16 units. The kernel takes 4,095 bytes with the path of the tree. */
const LONGEST = 1000;

/** What registries were asked. Undefined when a memo cannot ask them like that. */
function questionsOf(
  heads: readonly Answered[],
  root: string,
  env: Environment,
): readonly MemoQuestion[] | undefined {
  const found = new Map<string, MemoQuestion>();
  for (const head of heads) {
    const question = questionOf(head, root, env);
    if (!question) return undefined;
    found.set(question.tagFile, question);
  }
  return [...found.values()];
}

function questionOf(
  { url, headers, authorization, isRedirected, status, digest }: Answered,
  root: string,
  env: Environment,
): MemoQuestion | undefined {
  const [, path, tag] = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(url.pathname) ?? [];
  const isRepeatable = !isRedirected && status === 200 && url.search === '';
  if (!isRepeatable || digest === undefined || proxyFor(url, proxySettings(env))) return undefined;
  const tokenFile = authorization === undefined ? undefined : tokenFileOf(authorization, root, env);
  if (authorization !== undefined && tokenFile === undefined) return undefined;
  const isSecure = url.protocol === 'https:';
  const name = `${domainOf(url)}/${path}:${tag}`;
  const tagFile = join(root, 'tags', hexOf(digestOf(name)));
  const tagText = readFileSync(tagFile, 'utf8');
  const known = JSON.parse(tagText) as Readonly<Record<string, unknown>>;
  if (known['digest'] !== digest || known['name'] !== name) return undefined;
  const lines = Object.entries({ host: url.host, ...headers, connection: 'close' });
  const texts = lines.map(([header, value]) => `${header}: ${value}\r\n`);
  return {
    isSecure,
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (isSecure ? 443 : 80)),
    request: `HEAD ${url.pathname} HTTP/1.1\r\n${texts.join('')}`,
    tokenFile,
    digest,
    tagFile,
    tagText,
  };
}

/** The domain of the images at a registry. */
function domainOf({ host }: URL): string {
  return host === DOCKER_HUB ? DEFAULT_DOMAIN : host;
}

/**
 * The file of the store that remembers the token of this header. Undefined when there is none: then
 * it was got with a login. Where a credential helper might have one meanwhile, none is used.
 */
function tokenFileOf(authorization: string, root: string, env: Environment): string | undefined {
  if (/credsStore|credHelpers/.test(textAt(dockerConfigPath(env)))) return undefined;
  const directory = join(root, 'challenges');
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .find((path) => {
      const { token } = JSON.parse(textAt(path)) as Readonly<Record<string, unknown>>;
      return authorization === `Bearer ${token}`;
    });
}

/** A duration in milliseconds that no build has. It stands for that of the questions. */
const ANSWERED_MS = 87_654_300;
const ANSWERED = '87654.3s';

/** A log of more bytes is not worth being read. */
const MOST_LOGGED = 4 << 20;

/**
 * What the next build shows and logs. Undefined when that is not known: after a build that wrote
 * nothing into the index, a step is not expected to be cached that was not.
 */
async function toldOf({ root, printed, options }: BuildWatch, id: string, hasRun: boolean) {
  const directory = join(root, 'logs');
  const path = join(directory, `${id}.jsonl`);
  if (statSync(path).size > MOST_LOGGED) return undefined;
  const { header, events, ended } = readLog(directory, id);
  const lines = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{"kind":'));
  if (!ended || lines.length !== events.length) return undefined;
  const logged = events.map((event, index) => ({ event, line: lines[index]! }));
  const cached = asCached(logged);
  if (!cached || (!hasRun && cached.length < logged.length)) return undefined;
  const { build: _, owner: _owner, started: _started, git: _git, ...logHeader } = header;
  const { ended: _ended, counts, ...end } = ended;
  const logEnd = { ...end, counts: allCached(counts as ToldCounts) };
  const log = loggedAgain(cached);
  const line = printed.replace(CACHED, ', $1 of $1$2');
  const shown =
    options.progress === 'quiet'
      ? [printed]
      : await shownAgain(
          cached.map(({ event }) => event),
          line,
        );
  return log === undefined || !shown ? undefined : { header: logHeader, end: logEnd, log, shown };
}

function allCached(counts: ToldCounts): ToldCounts {
  return { ...counts, completed: counts.steps, cached: counts.steps };
}

/** How many steps were cached: all, the next time. */
const CACHED = /, \d+ of (\d+)( steps? cached\n)$/;

/** The lines with BEFORE and AFTER in the place of their times. */
function loggedAgain(logged: readonly LoggedEvent[]): string | undefined {
  const first = logged.findIndex(({ event }) => isAnswered(event));
  let replaced = 0;
  const texts = logged.map(({ event: said, line }, index) => {
    const event = JSON.parse(line) as Record<string, unknown>;
    const isBefore = index < first || first < 0;
    for (const name of ['started', 'completed', 'timestamp'])
      if (typeof event[name] === 'number') {
        const began = name === 'started' && isLookUp(said);
        event[name] = isBefore || began ? BEFORE : AFTER;
        replaced++;
      }
    return JSON.stringify(event);
  });
  const text = texts.join('\n');
  const stand = text.split(new RegExp(`${BEFORE}|${AFTER}`)).length - 1;
  return stand === replaced ? text : undefined;
}

function isAnswered(event: ProgressEvent): boolean {
  return isLookUp(event) && event.completed !== undefined;
}

function isLookUp(event: ProgressEvent): event is Extract<ProgressEvent, { kind: 'vertex' }> {
  return event.kind === 'vertex' && event.name.startsWith('[internal] load metadata for ');
}

/** The last line of a build tells the time that it took. */
const TAKEN = /(?<=built in )\d+\.\d+s(?=(, \d+ of \d+ steps? cached)?\n$)/;

/**
 * What the plain view shows of a build that takes no time, and what was printed after it, cut where
 * the time of questions is.
 */
async function shownAgain(
  events: readonly ProgressEvent[],
  printed: string,
): Promise<readonly string[] | undefined> {
  const pieces: string[] = [];
  const put = (text: string | Uint8Array) => void pieces.push(String(text));
  const view = createPlainView({ write: put, style: put, control: put });
  const warnings: WarningEvent[] = [];
  for (const event of events) {
    if (event.kind === 'warning') warnings.push(event);
    view.event(timeless(event));
  }
  view.close('done');
  const end = printed.replace(TAKEN, ANSWERED);
  const shown = `${pieces.join('')}${await warningText(warnings)}${end}`.split(ANSWERED);
  const lookedUp = events.filter(isAnswered);
  return shown.length === lookedUp.length + 2 ? shown : undefined;
}

function timeless(event: ProgressEvent): ProgressEvent {
  if (event.kind === 'warning' || event.kind === 'miss') return event;
  const times = {
    ...('started' in event && { started: 0 }),
    ...('completed' in event && { completed: isLookUp(event) ? ANSWERED_MS : 0 }),
    ...('timestamp' in event && { timestamp: 0 }),
  };
  return { ...event, ...times } as ProgressEvent;
}
