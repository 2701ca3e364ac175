import { cloneImage } from './image.ts';
import type { ResolvedBase, StageNode, StageWork } from './stage.ts';
import { Versions } from './versions.ts';

/** FROM an image, a context or scratch. */
export function workOn(
  node: StageNode,
  { platform, state, image, config }: ResolvedBase,
): StageWork {
  return {
    ...nothingYet(node),
    platform,
    state,
    image,
    baseImage: config,
    buildArgs: NO_ARGS,
    paths: node.paths,
    workdirSet: false,
    inheritedCmd: undefined,
  };
}

const NO_ARGS = Versions.of<string | undefined>('stays');

/** FROM a stage: all it has, but its ONBUILD triggers, which have become instructions. */
export function inheritedWork(node: StageNode, base: StageWork): StageWork {
  const image = cloneImage(base.image);
  delete image.config.OnBuild;
  const { platform, state, baseImage, paths, workdirSet, buildArgs } = base;
  const inheritedCmd = base.seen.get('cmd') ?? base.inheritedCmd;
  return {
    ...nothingYet(node),
    platform,
    state,
    image,
    baseImage,
    buildArgs,
    paths,
    workdirSet,
    inheritedCmd,
  };
}

function nothingYet(node: StageNode): Pick<StageWork, 'node' | 'droppedCmd' | 'seen'> {
  return { node, droppedCmd: undefined, seen: new Map() };
}
