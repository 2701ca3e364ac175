import { KilnError } from '../../base/errors.ts';
import { normalisePlatform } from '../../base/platform.ts';
import type { DraftEdge } from '../../solver/llb/draft.ts';
import type { FrontendRequest, NamedContext, TimedSource } from '../frontend.ts';
import type { Gateway, SolvedTree } from '../gateway.ts';
import type { Dockerfile, Stage } from '../instructions.ts';
import { placeOf } from '../problem.ts';
import { globalArgs, platformArgs } from './args.ts';
import { wordExpansion } from './expansion.ts';
import { gitRefOf } from './gitref.ts';
import { gitTree, HTTP_FILE, httpTree, unpacked } from './remote.ts';
import type { Words } from './words.ts';

/**
 * # SOURCE_DATE_EPOCH of a Dockerfile
 *
 * The time is given by the build argument, or by the default of a global ARG. Besides a number of
 * seconds it may name where the time comes from: `context`, a named context, or a stage that only
 * adds one source. The time of a git repository is that of its commit. A file by http has that of
 * its Last-Modified, or else that of the newest file in the archive. A directory has none.
 */
const NAME = 'SOURCE_DATE_EPOCH';

/**
 * The request with its time, and with the number in the place of what the argument says. Throws
 * KILN_EPOCH_INVALID, also when the platforms would have different times.
 */
export async function withEpoch(
  request: FrontendRequest,
  dockerfile: Dockerfile,
  gateway: Pick<Gateway, 'solve'>,
): Promise<FrontendRequest> {
  const { buildArgs } = request;
  if (buildArgs.get(NAME) === undefined && !isDeclared(dockerfile)) return request;
  const asked = globalsOfPlatforms(request, dockerfile).map((globals) => {
    const said = buildArgs.get(NAME) ?? globals.get(NAME);
    return said === undefined || said === '' || String(request.epoch) === said
      ? undefined
      : questionOf(said, request, dockerfile, globals);
  });
  if (asked.every((question) => question === undefined)) return request;
  const times = new Map<string, Promise<number | undefined>>();
  const ask = ({ key, time }: Question): Promise<number | undefined> => {
    const known = times.get(key) ?? time(gateway);
    times.set(key, known);
    return known;
  };
  const found = await Promise.all(asked.map((question) => question && ask(question)));
  const [epoch, ...others] = [...new Set(found)];
  if (others.length > 0) throw ofPlatforms(found);
  return { ...request, epoch, buildArgs: new Map(buildArgs).set(NAME, `${epoch ?? ''}`) };
}

function isDeclared({ globalArgs: declared }: Dockerfile): boolean {
  return declared.some(({ args }) => args.some(({ key }) => key === NAME));
}

type Globals = ReadonlyMap<string, string>;

/** The global ARGs of each platform: they may contain its name. */
function globalsOfPlatforms(
  { platforms, buildPlatform, buildArgs, target }: FrontendRequest,
  { stages, escape: quote, globalArgs: declared }: Dockerfile,
): readonly Globals[] {
  const stage = target ?? stages.at(-1)?.from.name ?? '';
  return (platforms.length > 0 ? platforms : [buildPlatform]).map((platform) => {
    const normal = normalisePlatform(platform);
    const predefined = platformArgs(buildPlatform, normal, stage, buildArgs);
    return globalArgs(predefined, declared, buildArgs, wordExpansion(quote));
  });
}

/** Where a time comes from. Questions with the same key have the same answer. */
interface Question {
  readonly key: string;
  readonly time: (gateway: Pick<Gateway, 'solve'>) => Promise<number | undefined>;
}

function questionOf(
  said: string,
  request: FrontendRequest,
  { stages, escape: quote }: Dockerfile,
  globals: Globals,
): Question {
  if (/^\d{1,15}$/.test(said)) return { key: said, time: async () => Number(said) };
  const from = (source: TimedSource | undefined, key = said): Question => ({
    key,
    time: (gateway) => timeOf(source, gateway),
  });
  const context = request.namedContexts.get(said);
  if (context) return from(sourceOfContext(context));
  if (said === 'context') {
    const { mainContext: main } = request;
    return from(main.kind === 'local' ? undefined : main.source);
  }
  const stage = stages.find(({ from: { name } }) => name === said.toLowerCase());
  if (!stage) throw invalid(`invalid ${NAME}: ${said}`);
  const url = addedBy(stage, globals, request.buildArgs, wordExpansion(quote));
  const source = sourceAt(url) ?? refuseStage(stage, 'its ADD is no URL of git or http');
  return from(source, `${said} ${url}`);
}

function ofPlatforms(times: readonly (number | undefined)[]): KilnError {
  const told = times.map((time) => time ?? 'none').join(', ');
  return new KilnError(
    'KILN_EPOCH_INVALID',
    `the platforms of this build have different times in ${NAME}: ${told}`,
    { hint: 'build the platforms one by one, or give all of them one time with --build-arg' },
  );
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

/** The only source of a stage that consists of one ADD, and of ARGs for its URL. */
function addedBy(
  stage: Stage,
  globals: Globals,
  buildArgs: FrontendRequest['buildArgs'],
  words: Words,
): string {
  if (stage.from.image !== 'scratch') refuseStage(stage, 'it is not FROM scratch');
  const scope = new Map<string, string>();
  const urls: string[] = [];
  for (const instruction of stage.instructions)
    if (instruction.kind === 'arg')
      for (const { key, value } of instruction.args) {
        const own = value === undefined ? globals.get(key) : words.word(value, scope).result;
        const given = buildArgs.get(key) ?? own;
        if (given !== undefined) scope.set(key, given);
      }
    else if (instruction.kind === 'add' && instruction.heredocs.length === 0)
      urls.push(...instruction.sources.map((source) => words.word(source, scope).result));
    else refuseStage(stage, `it has another instruction than ADD and ARG`);
  const [url, ...others] = urls;
  if (url === undefined || others.length > 0) refuseStage(stage, 'it does not ADD one source');
  return url;
}

function refuseStage({ from }: Stage, why: string): never {
  const said = `${NAME} stage does not meet source-only requirements: ${why}`;
  throw invalid(said).at(placeOf(from.range));
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
