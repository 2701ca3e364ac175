import { lstatSync, readdirSync, readFileSync, realpathSync, utimesSync } from 'node:fs';
import { connect, isIP, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectSecurely } from 'node:tls';
import { errnoOf } from '../../base/errors.ts';
import { mayBeTerminal, writeWhole } from '../../base/standard-stream.ts';
import { BuildLog, removeLog } from '../../builder/history/build-log.ts';
import { gitState } from '../../builder/history/git-state.ts';
import { isStill, NUMBERS } from './identity.ts';
import {
  AFTER,
  BEFORE,
  type Memo,
  type MemoParts,
  type MemoQuestion,
  memoFromBytes,
  memoPlace,
} from './memo-file.ts';

/**
 * # A build that is over before it begins
 *
 * Looks for the memo of this call and, when everything on which it relied is still the same, shows
 * and logs what the build would. It has a bundle of its own and shares no code with builds, because
 * loading their code takes longer than all of this.
 *
 * Returns undefined when there is no memo, and otherwise a promise: false means that the build has
 * to be made, and that nothing was shown or written. Never throws and never rejects.
 */
export function recall(argv: readonly string[], bundle: string): Promise<boolean> | undefined {
  try {
    const { env } = process;
    if (env['KILN_MEMO'] === 'off') return undefined;
    const caller = { argv, env, cwd: process.cwd(), uid: process.getuid?.() ?? -1, bundle };
    const place = memoPlace(caller);
    const parts = place && read(place.path);
    if (!parts || parts.memo.root !== place.root) return undefined;
    // Views for terminals depend on their size, and redraw.
    if (parts.memo.shownOn === 2 && mayBeTerminal(2)) return undefined;
    return replayed(parts).catch(() => false);
  } catch {
    return undefined;
  }
}

function read(path: string): MemoParts | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return undefined;
  }
  return memoFromBytes(bytes);
}

/** Fewer paths are compared before registries are asked, and more of them meanwhile. */
const FEW = 1000;

async function replayed(parts: MemoParts): Promise<boolean> {
  const { memo } = parts;
  const started = Date.now();
  if (started < memo.made || started > memo.until) return false;
  if (!isStoreSame(memo) || !areFilesSame(memo)) return false;
  const isSmall = parts.numbers.length <= FEW * NUMBERS;
  if (isSmall && !isTreeSame(parts)) return false;
  const tokens = memo.questions.map(({ tokenFile }) => tokenFile && tokenOf(tokenFile));
  if (tokens.includes(null)) return false;
  const asking = memo.questions.map((question, index) => ask(question, tokens[index]));
  try {
    if (!isSmall) {
      // The questions are on their way before this thread is busy.
      for (let turn = 0; turn < 3 && asking.length > 0; turn++) await new Promise(setImmediate);
      if (!isTreeSame(parts)) return false;
    }
    const answers = await Promise.all(asking.map(({ answer }) => answer));
    if (!answers.every((isSame) => isSame)) return false;
  } finally {
    for (const { socket } of asking) socket.destroy();
  }
  // Between the first look and this one the registry may have taken its time.
  if (asking.length > 0 && !isStoreSame(memo)) return false;
  return tell(parts, started);
}

function isStoreSame({ store, root }: Memo): boolean {
  // Directories of processes: one that died has to be swept up.
  if (!readdirSync(join(root, 'tmp')).every((name) => name === 'locks')) return false;
  return store.every((file) => isStill(...file));
}

function areFilesSame({ files, realPaths, questions }: Memo): boolean {
  return (
    files.every((file) => isStill(...file)) &&
    realPaths.every(([path, real]) => realpathSync.native(path) === real) &&
    questions.every(({ tagFile, tagText }) => readFileSync(tagFile, 'utf8') === tagText)
  );
}

function isTreeSame({ memo, names, numbers }: MemoParts): boolean {
  if (memo.tree === '') return true;
  let at = 0;
  for (const name of names.split('\0')) {
    const path = name === '' ? memo.tree : `${memo.tree}/${name}`;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (
      stat
        ? stat.ctimeMs !== numbers[at + 4] ||
          stat.ino !== numbers[at + 1] ||
          stat.mtimeMs !== numbers[at + 3] ||
          stat.size !== numbers[at + 2] ||
          stat.dev !== numbers[at]
        : numbers[at + 1] !== 0
    )
      return false;
    at += NUMBERS;
  }
  return at === numbers.length;
}

/** A token that is good for this long yet is good when it arrives. Milliseconds. */
const TOKEN_MARGIN_MS = 5000;
const DAY_MS = 86_400_000;

/** The token that a file of `challenges/` has (registry/challenge-memory.ts). Null for none. */
function tokenOf(path: string): string | null {
  const { token, until } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  const left = typeof until === 'number' ? until - Date.now() : 0;
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) return null;
  return left > TOKEN_MARGIN_MS && left <= DAY_MS ? token : null;
}

/** After this long the build asks in its own way. Milliseconds. */
const PATIENCE_MS = 3000;
/** The head of an answer is far shorter. */
const MAX_HEAD = 16 << 10;

/** Asks a registry. `answer` is false for any answer but the expected one. It never rejects. */
function ask(
  { isSecure, host, port, request, digest }: MemoQuestion,
  token: string | null | undefined,
): { readonly socket: Socket; readonly answer: Promise<boolean> } {
  const secure = {
    ALPNProtocols: ['http/1.1'],
    ...(isIP(host) === 0 && { servername: host }),
  };
  const socket = isSecure
    ? connectSecurely({ host, port, ...secure })
    : connect({ host, port, noDelay: true });
  const { promise: answer, resolve } = Promise.withResolvers<boolean>();
  let head = '';
  const end = () => resolve(isExpected(head, digest));
  socket.setTimeout(PATIENCE_MS, end);
  socket
    .on('error', end)
    .on('close', end)
    .on('data', (bytes: Buffer) => {
      head += bytes.toString('latin1');
      if (head.includes('\r\n\r\n') || head.length > MAX_HEAD) end();
    });
  socket.write(`${request}${token ? `authorization: Bearer ${token}\r\n` : ''}\r\n`);
  return { socket, answer };
}

function isExpected(answer: string, digest: string): boolean {
  const [status = '', ...lines] = answer.slice(0, answer.indexOf('\r\n\r\n') + 2).split('\r\n');
  if (!/^HTTP\/1\.[01] 200 /.test(status)) return false;
  const stated = lines.filter((line) => /^docker-content-digest:/i.test(line));
  return stated.length === 1 && stated[0]!.slice(stated[0]!.indexOf(':') + 1).trim() === digest;
}

/** Shows and writes down the build. False when what was kept of its result is gone. */
function tell({ memo, log }: MemoParts, started: number): boolean {
  const ended = Date.now();
  const directory = join(memo.root, 'logs');
  using file = new BuildLog(directory, {
    started,
    ...memo.logHeader,
    git: gitOf(memo),
    // Nothing was looked up for this log.
    recalled: true,
  });
  const { result } = memo.logEnd as { readonly result?: { readonly key?: unknown } };
  if (typeof result?.key === 'string' && !file.keepAgain(result.key)) {
    removeLog(directory, file.id);
    return false;
  }
  for (const { tagFile } of memo.questions) utimesSync(tagFile, ended / 1000, ended / 1000);
  file.lines(log.replaceAll(String(BEFORE), String(started)).replaceAll(String(AFTER), `${ended}`));
  try {
    show(memo.shownOn, memo.shown.join(`${((ended - started) / 1000).toFixed(1)}s`));
  } catch (error) {
    removeLog(directory, file.id);
    throw error;
  }
  file.end(memo.logEnd);
  return true;
}

/** A commit changes no file of the build. */
function gitOf({ logHeader: { directory } }: Memo) {
  return typeof directory === 'string' ? gitState(directory) : undefined;
}

function show(fd: 1 | 2, text: string): void {
  try {
    writeWhole(fd, Buffer.from(text));
  } catch (error) {
    // Nobody reads any more, or the text is lost as that of a build would be.
    if (fd !== 2 && errnoOf(error) !== 'EPIPE') throw error;
  }
}
