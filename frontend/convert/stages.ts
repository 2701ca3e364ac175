import { KilnError } from '../../base/errors.ts';
import { type Platform, parsePlatform } from '../../base/platform.ts';
import { didYouMean } from '../../base/suggest.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import type { FrontendRequest } from '../frontend.ts';
import type { Dockerfile, Instruction, Stage, StageInstruction } from '../instructions.ts';
import { placeOf } from '../problem.ts';
import { findContext } from './contexts.ts';
import { placed } from './placed.ts';
import {
  knownReads,
  type LinkedInstruction,
  newStage,
  type Reads,
  type StageNode,
} from './stage.ts';
import { StageList, unregisteredStage } from './stage-list.ts';
import type { Warn } from './warn.ts';
import { type ExpandedWord, emptyEnv, type Words } from './words.ts';

export interface FromScope {
  readonly request: FrontendRequest;
  readonly target: Platform;
  readonly globals: ReadonlyMap<string, string>;
  readonly words: Words;
  readonly warn: Warn;
}

/** The stages of the file with their bases found, FROM expanded and steps counted. */
export function listStages(dockerfile: Dockerfile, scope: FromScope): StageList {
  const list = new StageList();
  const declared = new Set([
    ...scope.globals.keys(),
    ...dockerfile.globalArgs.flatMap((i) => i.args.map((a) => a.key)),
  ]);
  const isNoCache = noCacheTest(scope.request.noCache);
  for (const [index, stage] of dockerfile.stages.entries())
    placed(placeOf(stage.from.range), () =>
      addStage(list, stage, index, { ...scope, declared, isNoCache }),
    );
  return list;
}

function addStage(
  list: StageList,
  { from, instructions }: Stage,
  index: number,
  scope: FromScope & {
    readonly declared: ReadonlySet<string>;
    readonly isNoCache: (stage: string | undefined) => boolean;
  },
): void {
  const { declared } = scope;
  const image = scope.words.word(from.image, scope.globals);
  warnUndeclared(image, declared, from.range, scope.warn);
  if (image.result === '') {
    throw new KilnError(
      'KILN_STAGE_BASE',
      `FROM ${from.image} names no image: it expands to nothing`,
      {
        hint:
          'declare the ARG before the first FROM and give it a default, or ' +
          'pass it with --build-arg',
      },
    );
  }
  const platform =
    from.platform === undefined
      ? undefined
      : stagePlatform(from.platform, from.name ?? '', from.range, declared, scope);
  const namedContext =
    from.name === undefined
      ? undefined
      : findContext(scope.request, from.name, platform?.platform ?? scope.target);
  const base = namedContext ? undefined : list.baseNamed(image.result);
  const described = {
    name: from.name,
    baseName: image.result,
    base,
    namedContext,
    platform: platform?.platform,
    instructions,
    original: from.original,
    range: from.range,
    errorRange: from.range,
    registered: true,
    ignoreCache: !namedContext && scope.isNoCache(from.name),
  };
  const ownBase = image.result !== 'scratch' && !base ? 1 : 0;
  const counted =
    ownBase + instructions.filter((i) => ['add', 'copy', 'run', 'workdir'].includes(i.kind)).length;
  const node = newStage(described, from.name ?? `stage-${index}`, namedContext ? 0 : counted);
  for (const name of [...image.matched, ...(platform?.matched ?? [])]) node.outline.used.add(name);
  list.add(node);
}

function noCacheTest(noCache: FrontendRequest['noCache']): (stage: string | undefined) => boolean {
  if (typeof noCache === 'string') return () => noCache === 'all';
  const names = new Set(noCache.map((name) => name.toLowerCase()));
  return (stage) => stage !== undefined && names.has(stage.toLowerCase());
}

function stagePlatform(
  written: string,
  name: string,
  range: SourceRange,
  declared: ReadonlySet<string>,
  scope: FromScope,
): { readonly platform: Platform; readonly matched: ReadonlySet<string> } {
  const word = scope.words.word(written, scope.globals);
  warnUndeclared(word, declared, range, scope.warn);
  warnPlatform(written, word, name, range, scope);
  if (word.result === '') {
    throw new KilnError(
      'KILN_PLATFORM_INVALID',
      `empty platform value from expression ${written}${meantBy(word, scope)}`,
      {
        hint:
          'declare the ARG before the first FROM; BUILDPLATFORM and TARGETPLATFORM ' +
          'are there without one',
      },
    );
  }
  try {
    return {
      platform: parsePlatform(word.result, scope.request.buildPlatform),
      matched: word.matched,
    };
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    const message = `failed to parse platform ${written}: ${error.message}${meantBy(word, scope)}`;
    throw error.with({ message });
  }
}

/** Suggests a name for the first variable that is not there. */
function meantBy({ unmatched }: ExpandedWord, { globals }: FromScope): string {
  const [unknown] = unmatched;
  return unknown === undefined ? '' : didYouMean(unknown, globals.keys());
}

function warnPlatform(
  written: string,
  word: ExpandedWord,
  name: string,
  range: SourceRange,
  scope: FromScope,
): void {
  if (word.matched.size === 1 && word.unmatched.size === 0 && word.matched.has('TARGETPLATFORM')) {
    if (word.result === scope.globals.get('TARGETPLATFORM')) {
      scope.warn(
        'RedundantTargetPlatform',
        `Setting platform to predefined ${written} in FROM is redundant as this is the ` +
          'default behavior',
        range,
      );
    }
  }
  if (word.matched.size > 0 || word.unmatched.size > 0) return;
  let platform: Platform;
  try {
    platform = parsePlatform(word.result, scope.request.buildPlatform);
  } catch {
    return;
  }
  if (name.includes(platform.os) || name.includes(platform.architecture)) return;
  scope.warn(
    'FromPlatformFlagConstDisallowed',
    `FROM --platform flag should not use constant value "${word.result}"`,
    range,
  );
}

function warnUndeclared(
  word: ExpandedWord,
  declared: ReadonlySet<string>,
  range: SourceRange,
  warn: Warn,
): void {
  for (const name of word.unmatched) {
    if (declared.has(name)) continue;
    warn(
      'UndefinedArgInFrom',
      () => `FROM argument '${name}' is not declared${didYouMean(name, declared)}`,
      range,
    );
  }
}

/** `--target`, or the last stage. Throws KILN_TARGET_NOT_FOUND. */
export function findTarget(list: StageList, target: string | undefined): StageNode {
  if (!target) return list.all.at(-1) as StageNode;
  const found = list.find(target);
  if (found) return found;
  const names = list.names();
  throw new KilnError(
    'KILN_TARGET_NOT_FOUND',
    `target stage ${JSON.stringify(target)} could not be found${didYouMean(target, names)}`,
    {
      place: { kind: 'flag', flag: '--target' },
      hint: `the stages are: ${names.join(', ')}`,
    },
  );
}

/**
 * Finds what each instruction of each stage reads. Throws KILN_STAGE_CYCLE when stages read each
 * other in a circle.
 */
export function linkStages(list: StageList, words: Words): void {
  for (const stage of [...list.all]) {
    const commands = stage.instructions.map((instruction) => toCommand(instruction, list, words));
    stage.life = { kind: 'linked', ...link(commands, list) };
  }
  refuseCycles(list.all);
  // A name in brackets tells stages apart; with one there is nothing to tell.
  if (list.all.length === 1) for (const { steps } of list.all) steps.label = '';
}

/** What instructions read. Images and contexts among it that are no stages join the list. */
export function link(commands: readonly LinkedInstruction[], list: StageList): Reads {
  const deps = new Map<StageNode, Instruction>();
  for (const { sources, instruction } of commands) {
    for (const source of sources) {
      deps.set(source, instruction);
      if (!source.registered) list.add(source);
    }
  }
  return { commands, deps };
}

export function toCommand(
  instruction: StageInstruction,
  list: StageList,
  words: Words,
  isOnBuild = false,
): LinkedInstruction {
  return placed(placeOf(instruction.range), () => ({
    instruction,
    isOnBuild,
    sources: sourcesOf(instruction, list, words),
  }));
}

function sourcesOf(instruction: StageInstruction, list: StageList, words: Words): StageNode[] {
  if (instruction.kind === 'run') {
    return instruction.mounts.map((mount) => {
      const from = mount.fields.find(({ key }) => key === 'from')?.value || 'scratch';
      if (/\$./.test(from)) throw noVariable("a mount's from");
      return list.find(from) ?? unregisteredStage(from, instruction.range, undefined);
    });
  }
  const from = instruction.kind === 'copy' ? instruction.flags.from : undefined;
  if (!from) return [];
  if (words.word(from, emptyEnv).result !== from) throw noVariable('--from');
  if (!/^[+-]?\d+$/.test(from))
    return [list.find(from) ?? unregisteredStage(from, instruction.range, instruction.range)];
  const stage = list.all[Number(from)];
  if (!stage)
    throw new KilnError('KILN_STAGE_INDEX', `there is no stage number ${from}`, {
      hint:
        'stages are counted from 0, and the last one here is ' +
        `${list.all.filter((one) => one.registered).length - 1}`,
    });
  return [stage];
}

function noVariable(where: string): KilnError {
  return new KilnError(
    'KILN_DOCKERFILE_FROM_VARIABLE',
    `variable expansion is not supported for ${where}, define a new stage with FROM using ARG ` +
      'from global scope as a workaround',
    {
      hint:
        'name the image in a stage of its own (FROM $IMAGE AS name), with its ARG before the ' +
        'first FROM, and use that name',
    },
  );
}

/** A stage on the way from one to the next, with what it reads. */
interface Visit {
  readonly stage: StageNode;
  readonly deps: Iterator<readonly [StageNode, Instruction]>;
  /** The instruction that reads the stage that comes next. */
  reads: Instruction | undefined;
}

/**
 * Shows the circle, at the first instruction in it. Without recursion: stages can read one another
 * by the thousand.
 */
function refuseCycles(stages: readonly StageNode[]): void {
  const done = new Set<StageNode>();
  /** The stages of the path, with their places in it. */
  const onPath = new Map<StageNode, number>();
  const path: Visit[] = [];
  const enter = (stage: StageNode) => {
    done.add(stage);
    onPath.set(stage, path.length);
    path.push({ stage, deps: knownReads(stage).deps.entries(), reads: undefined });
  };
  for (const first of stages) {
    if (!done.has(first)) enter(first);
    for (let visit = path.at(-1); visit; visit = path.at(-1)) {
      const next = visit.deps.next();
      if (next.done) {
        onPath.delete(visit.stage);
        path.pop();
        continue;
      }
      const [dependency, reads] = next.value;
      visit.reads = reads;
      const begin = onPath.get(dependency);
      if (begin !== undefined)
        throw cycleError(path.slice(begin).map((one) => ({ stage: one.stage, reads: one.reads! })));
      if (!done.has(dependency)) enter(dependency);
    }
  }
}

function cycleError(
  circle: readonly { readonly stage: StageNode; readonly reads: Instruction }[],
): KilnError {
  const [first] = circle;
  const names = [...circle, first!].map(({ stage }) => stage.steps.label || '0');
  return new KilnError(
    'KILN_STAGE_CYCLE',
    `stage ${names[0]} depends on itself: ${names.join(' reads ')}`,
    {
      place: placeOf(first!.reads.range),
      hint: 'put what both need into a stage of its own, above them',
    },
  );
}

/** The stages and all that they need. */
export function reachable(stages: readonly StageNode[]): Set<StageNode> {
  const found = new Set<StageNode>();
  const open = [...stages];
  for (let next = open.pop(); next; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    if (next.base) open.push(next.base);
    open.push(...knownReads(next).deps.keys());
  }
  return found;
}
