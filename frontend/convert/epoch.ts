import { KilnError } from '../../base/errors.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { FrontendRequest, NamedContext, TimedSource } from '../frontend.ts';
import type { Gateway, SolvedTree } from '../gateway.ts';
import type { Dockerfile, Stage } from '../instructions.ts';
import { placeOf } from '../problem.ts';
import { globalArgs } from './args.ts';
import { wordExpansion } from './expansion.ts';
import { gitRefOf } from './gitref.ts';
import { gitTree, HTTP_FILE, httpTree, unpacked } from './remote.ts';

/**
 * # SOURCE_DATE_EPOCH of a Dockerfile
 *
 * The time is given by the build argument, or by the default of a global ARG. Besides a number of
 * seconds it may name where the time comes from: `context`, a named context, or a stage that only
 * adds one source. The time of a git repository is that of its commit. A file by http has that of
 * its Last-Modified, or else that of the newest file in the archive. A directory has none.
 */
const NAME = 'SOURCE_DATE_EPOCH';

/** The request with its time, and with the number in the place of what the argument says. */
export async function withEpoch(
  request: FrontendRequest,
  dockerfile: Dockerfile,
  gateway: Pick<Gateway, 'solve'>,
): Promise<FrontendRequest> {
  const said = request.buildArgs.get(NAME) ?? defaultOf(dockerfile, request.buildArgs);
  if (said === undefined || said === '' || String(request.epoch) === said) return request;
  const epoch = await timeNamed(said, request, dockerfile, gateway);
  return { ...request, epoch, buildArgs: new Map(request.buildArgs).set(NAME, `${epoch ?? ''}`) };
}

function defaultOf(
  { globalArgs: declared, escape: quote }: Dockerfile,
  buildArgs: FrontendRequest['buildArgs'],
): string | undefined {
  if (!declared.some(({ args }) => args.some(({ key }) => key === NAME))) return undefined;
  return globalArgs(new Map(), declared, buildArgs, wordExpansion(quote)).get(NAME);
}

async function timeNamed(
  said: string,
  request: FrontendRequest,
  { stages, escape: quote, globalArgs: declared }: Dockerfile,
  gateway: Pick<Gateway, 'solve'>,
): Promise<number | undefined> {
  if (/^\d{1,15}$/.test(said)) return Number(said);
  const context = request.namedContexts.get(said);
  if (context) return await timeOf(sourceOfContext(context), gateway);
  if (said === 'context') {
    const { mainContext: main } = request;
    return main.kind === 'local' ? undefined : await timeOf(main.source, gateway);
  }
  const stage = stages.find(({ from }) => from.name === said.toLowerCase());
  if (!stage) throw invalid(`invalid ${NAME}: ${said}`);
  const words = wordExpansion(quote);
  const globals = globalArgs(new Map(), declared, request.buildArgs, words);
  const url = words.word(addedBy(stage), globals).result;
  return await timeOf(sourceAt(url) ?? refuseStage(stage), gateway);
}

function sourceOfContext(context: NamedContext): TimedSource | undefined {
  if (context.kind === 'git') return { kind: 'git', tree: gitTree(context.git, 'git') };
  return context.kind === 'http' ? context : undefined;
}

function sourceAt(url: string): TimedSource | undefined {
  const git = gitRefOf(url);
  if (git && !git.looksLocal) return { kind: 'git', tree: gitTree(git, url) };
  return /^https?:\/\//.test(url) ? { kind: 'http', url } : undefined;
}

/** The only source of a stage that consists of one ADD. */
function addedBy(stage: Stage): string {
  const [only, ...more] = stage.instructions;
  if (stage.from.image !== 'scratch' || more.length > 0 || only?.kind !== 'add') refuseStage(stage);
  const [source, ...others] = only.sources;
  if (source === undefined || others.length > 0 || only.heredocs.length > 0) refuseStage(stage);
  return source;
}

function refuseStage({ from }: Stage): never {
  throw invalid(`${NAME} stage does not meet source-only requirements`).at(placeOf(from.range));
}

function invalid(message: string): KilnError {
  return new KilnError('KILN_EPOCH_INVALID', message, {
    hint:
      'it is a number of seconds since 1970, context, a named context, or a stage that only ADDs ' +
      'one source to scratch',
  });
}

async function timeOf(
  source: TimedSource | undefined,
  gateway: Pick<Gateway, 'solve'>,
): Promise<number | undefined> {
  if (!source) return undefined;
  if (source.kind === 'git') return await newestIn(source.tree, gateway);
  const tree = httpTree(source.url, source.url);
  await using fetched = await gateway.solve(tree);
  const modified = seconds(fetched.stat(HTTP_FILE)?.modTime);
  return modified ?? (await newestIn(unpacked(tree), gateway));
}

/** The latest time of a file. Directories may have the time at which they were made here. */
async function newestIn(
  tree: DraftEdge,
  gateway: Pick<Gateway, 'solve'>,
): Promise<number | undefined> {
  await using solved = await gateway.solve(tree);
  return seconds(newest(solved));
}

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;

function newest(tree: SolvedTree): bigint {
  let latest = 0n;
  const pending = ['/'];
  for (let path = pending.pop(); path !== undefined; path = pending.pop())
    for (const { name, mode, modTime } of tree.list(path) ?? [])
      if ((mode & S_IFMT) === S_IFDIR) pending.push(`${path === '/' ? '' : path}/${name}`);
      else if (modTime > latest) latest = modTime;
  return latest;
}

/** Whole seconds. Undefined for a file without a time, which has the time 0. */
function seconds(nanoseconds: bigint | undefined): number | undefined {
  return nanoseconds ? Number(nanoseconds / 1_000_000_000n) : undefined;
}
