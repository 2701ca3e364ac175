import type { SourceRange } from '../../solver/llb/graph.ts';
import type { Dockerfile } from '../instructions.ts';
import type { Conversion } from './conversion.ts';
import { knownReads, type StageNode } from './stage.ts';
import type { ArgInfo, MountInfo } from './stage-outline.ts';

/**
 * # What can be given to a target
 *
 * The build arguments that the target and its stages use, and the secrets, ssh sockets and caches
 * that they mount. It is the answer to `--call=outline`. The lowering records them in each stage.
 */
export interface Outline {
  /** The target's name. Undefined when it has none. */
  readonly name: string | undefined;
  readonly description: string;
  readonly args: readonly OutlineArg[];
  readonly secrets: readonly OutlineMount[];
  readonly ssh: readonly OutlineMount[];
  readonly caches: readonly OutlineMount[];
}

export interface OutlineArg extends ArgInfo {
  readonly name: string;
}

export interface OutlineMount extends MountInfo {
  readonly name: string;
}

/**
 * The outline of a target whose stages are lowered. A name occurs once: for the stage nearest to
 * the target.
 */
export function outlineOf(
  target: StageNode,
  dockerfile: Dockerfile,
  conversion: Conversion,
): Outline {
  const globals = globalInfos(dockerfile, conversion);
  const stages = stagesReadBy(target);
  const args = new Map<string, ArgInfo>();
  for (const { outline } of stages) {
    // Not recursive: thousands of ARGs may each be made of the one before.
    const open = [...outline.used].reverse();
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      const info = outline.args.get(name) ?? globals.get(name);
      if (!info || args.has(name)) continue;
      args.set(name, info);
      open.push(...[...(globals.get(name)?.dependencies ?? [])].reverse());
    }
  }
  const mounts = (kind: 'secrets' | 'ssh' | 'caches') => {
    const found = new Map<string, MountInfo>();
    for (const { outline } of stages)
      for (const [id, info] of outline[kind]) if (!found.has(id)) found.set(id, info);
    return byLine(found);
  };
  const stage = dockerfile.stages.find(({ from }) => from.range === target.range);
  return {
    name: target.name,
    description: stage?.docComment ?? '',
    args: byLine(args),
    secrets: mounts('secrets'),
    ssh: mounts('ssh'),
    caches: mounts('caches'),
  };
}

interface GlobalInfo extends ArgInfo {
  /** Other ARGs in the default. Empty when the value comes from outside. */
  readonly dependencies: ReadonlySet<string>;
}

function globalInfos(
  { globalArgs }: Dockerfile,
  { globals, words, request }: Conversion,
): Map<string, GlobalInfo> {
  const infos = new Map<string, GlobalInfo>();
  for (const { args, range } of globalArgs) {
    for (const { key, value, docComment } of args) {
      const isDefault = value !== undefined && !request.buildArgs.has(key);
      const dependencies: ReadonlySet<string> = isDefault
        ? words.word(value, globals).matched
        : new Set();
      // An ARG of the platform has the machine's value although nobody gave it. An outline must be
      // the same everywhere.
      const isGiven = value !== undefined || request.buildArgs.has(key);
      infos.set(key, {
        value: (isGiven && globals.get(key)) || '',
        description: docComment,
        range,
        dependencies,
      });
    }
  }
  return infos;
}

/** The stage, its base, and the stages that it reads from, each once and nearest first. */
function stagesReadBy(target: StageNode): StageNode[] {
  const found = new Set<StageNode>();
  const open = [target];
  // Not recursive: thousands of stages can follow one another.
  for (let stage = open.pop(); stage; stage = open.pop()) {
    if (found.has(stage)) continue;
    found.add(stage);
    open.push(...[...knownReads(stage).deps.keys()].reverse());
    if (stage.base) open.push(stage.base);
  }
  return [...found];
}

function byLine<T extends { readonly range: SourceRange }>(
  entries: ReadonlyMap<string, T>,
): (T & { readonly name: string })[] {
  return [...entries]
    .map(([name, info]) => ({ ...info, name }))
    .sort((a, b) => a.range.start.line - b.range.start.line);
}
