import { DEFAULT_PATH, type ImageConfig } from '../../base/oci.ts';
import { normalisePlatform, type Platform } from '../../base/platform.ts';
import { tryParseReference } from '../../base/reference.ts';
import { localSource } from '../../solver/llb/builder.ts';
import { type DraftEdge, seal } from '../../solver/llb/draft.ts';
import { NET_MODE } from '../../solver/llb/enums.ts';
import type { FrontendRequest, FrontendResult, MainContext, TargetResult } from '../frontend.ts';
import type { Dockerfile } from '../instructions.ts';
import { placeOf } from '../problem.ts';
import { globalArgs, platformArgs, proxyEnv } from './args.ts';
import { checkBaseNames, resolveBases } from './bases.ts';
import { Findings } from './checks.ts';
import { platformOfImage } from './contexts.ts';
import { type Conversion, checkGraph, followPaths } from './conversion.ts';
import { wordExpansion } from './expansion.ts';
import { finishImage, type Image, setEnv, setLabels } from './image.ts';
import { lowerStep } from './lower-step.ts';
import { type Outline, outlineOf } from './outline.ts';
import { placed } from './placed.ts';
import { scannedTrees } from './scanned.ts';
import { setWorkdir } from './settings.ts';
import type { StageLife, StageNode, StageWork } from './stage.ts';
import { splitEnv } from './stage-state.ts';
import { inheritedWork, workOn } from './stage-work.ts';
import { findTarget, linkStages, listStages } from './stages.ts';
import { tellDroppedCmd, warnManyLayers, warnOtherPlatform } from './surprises.ts';
import type { Warn } from './warn.ts';
import type { Words } from './words.ts';

/**
 * Lowers a Dockerfile to LLB: for each platform one edge and its image config, as BuildKit's
 * Dockerfile frontend does. Calls `request.resolveImage` only for the images that the target needs.
 * Throws KilnErrors with their place.
 */
export async function convertDockerfile(
  request: FrontendRequest,
  dockerfile: Dockerfile,
  findings = new Findings(request, dockerfile),
): Promise<FrontendResult> {
  const targets = await Promise.all(
    platformsOf(request).map(async (platform) => {
      const conversion = begin(request, dockerfile, platform, findings);
      return resultOf(conversion, await lowerStages(conversion, 'target'));
    }),
  );
  const error = findings.violation();
  if (error) throw error;
  return { targets, warnings: findings.events() };
}

/**
 * Lowers what the target needs, or every stage when no target is named, and collects findings in
 * `findings`. Throws the first error in any of them.
 */
export async function checkStages(
  request: FrontendRequest,
  dockerfile: Dockerfile,
  findings: Findings,
): Promise<void> {
  await Promise.all(
    platformsOf(request).map(async (platform) => {
      const conversion = begin(request, dockerfile, platform, findings);
      const target = loweredLife(await lowerStages(conversion, request.target ? 'target' : 'all'));
      imageOf(conversion, target);
    }),
  );
}

/** Lowers what the target needs, for the first platform, and answers its outline. */
export async function outlineDockerfile(
  request: FrontendRequest,
  dockerfile: Dockerfile,
  findings: Findings,
): Promise<Outline> {
  const conversion = begin(request, dockerfile, platformsOf(request)[0], findings);
  const target = await lowerStages(conversion, 'target');
  const error = findings.violation();
  if (error) throw error;
  return outlineOf(target, dockerfile, conversion);
}

function platformsOf({ platforms }: FrontendRequest): readonly (Platform | undefined)[] {
  return platforms.length > 0 ? platforms : [undefined];
}

/** Answers the target stage. */
async function lowerStages(conversion: Conversion, which: 'target' | 'all'): Promise<StageNode> {
  const { stages, request } = conversion;
  const target = findTarget(stages, request.target);
  linkStages(stages, conversion.words);
  await checkBaseNames(conversion);
  const needed = await resolveBases(
    conversion,
    which === 'all' ? stages.all.filter((stage) => stage.registered) : [target],
  );
  request.signal.throwIfAborted();
  for (const stage of stages.all)
    if (needed.has(stage) && stage.life.kind === 'ready') lowerStage(conversion, stage, stage.life);
  return target;
}

type Lowered = Extract<StageLife, { kind: 'lowered' }>;

function loweredLife({ life }: StageNode): Lowered {
  if (life.kind !== 'lowered') throw new Error(`the target is not lowered: ${life.kind}`);
  return life;
}

function resultOf(conversion: Conversion, node: StageNode): TargetResult {
  const life = loweredLife(node);
  const target = life.work;
  // All of the result is read.
  target.paths.add('/');
  const { tree } = target.state;
  const image = imageOf(conversion, life);
  const scanned = scannedTrees(conversion, node);
  return {
    platform: conversion.implicitTarget ? platformOfImage(image) : conversion.target,
    edge: tree && seal(tree, conversion.target, graphScale()),
    config: image,
    ...(target.baseImage && { base: target.baseImage }),
    ...(scanned && { scanned }),
  };
}

function imageOf(conversion: Conversion, { work, commands }: Lowered): ImageConfig {
  const image = finish(conversion, work.image);
  warnOtherPlatform(conversion, work);
  warnManyLayers(conversion, work, commands, image);
  return image;
}

function graphScale(): (bytes: number) => void {
  let total = 0;
  return (bytes) => {
    total += bytes;
    checkGraph(total);
  };
}

function begin(
  request: FrontendRequest,
  dockerfile: Dockerfile,
  asked: Platform | undefined,
  findings: Findings,
): Conversion {
  const { warn, reached } = findings;
  const target = normalisePlatform(asked ?? request.buildPlatform);
  const words = wordExpansion(dockerfile.escape);
  const { buildArgs } = request;
  const stageName = request.target ?? dockerfile.stages.at(-1)?.from.name ?? '';
  const predefined = platformArgs(request.buildPlatform, target, stageName, buildArgs);
  // With a budget of its own, so that an error is found where it is without this check.
  warnInvalidDefaults(dockerfile, predefined, wordExpansion(dockerfile.escape), warn);
  const globals = globalArgs(predefined, dockerfile.globalArgs, buildArgs, words);
  const contextPaths = new Set<string>();
  return {
    request,
    target,
    implicitTarget: asked === undefined,
    showPlatform: request.platforms.length > 1,
    globals,
    words,
    proxy: proxyEnv(buildArgs),
    stages: listStages(dockerfile, { request, target, globals, words, warn }),
    context: mainTree(request.mainContext, contextPaths),
    contextPaths,
    cacheOwners: new Map(),
    warn,
    triggers: { count: 0 },
    described: { bytes: 0 },
    reached,
  };
}

/**
 * The tree in which COPY and ADD find their sources. `paths` are the paths that they read, complete
 * when the graph is sealed.
 */
function mainTree(context: MainContext, paths: ReadonlySet<string>): DraftEdge {
  const { sessionId, ignore } = context;
  if (context.kind === 'remote') return context.tree;
  const { sharedKeyHint } = context;
  const options = () => ({
    sessionId,
    sharedKeyHint,
    excludePatterns: ignore,
    followPaths: followPaths(paths),
  });
  return localSource('context', options, { name: '[internal] load build context' });
}

/** A base name must be valid even without build arguments. */
function warnInvalidDefaults(
  dockerfile: Dockerfile,
  predefined: ReadonlyMap<string, string>,
  words: Words,
  warn: Warn,
): void {
  try {
    const defaults = globalArgs(predefined, dockerfile.globalArgs, new Map(), words);
    for (const { from } of dockerfile.stages) {
      if (tryParseReference(words.word(from.image, defaults).result)) continue;
      warn(
        'InvalidDefaultArgInFrom',
        `Default value for ARG ${from.image} results in empty or invalid base image name`,
        from.range,
      );
    }
  } catch {
    // An error that occurs only without build arguments is not reported.
  }
}

function lowerStage(
  conversion: Conversion,
  stage: StageNode,
  ready: Extract<StageLife, { kind: 'ready' }>,
): void {
  const { base, commands, deps } = ready;
  const begun = base ? workOn(stage, base) : inheritedWork(stage, loweredWork(stage.base));
  const work: StageWork = { ...begun, platform: begun.platform ?? conversion.target };
  placed(placeOf(stage.errorRange), () => startStage(conversion, work));
  if (stage.range) conversion.reached(stage.range);
  for (const command of commands) lowerStep(conversion, work, command);
  tellDroppedCmd(conversion, work);
  stage.life = { kind: 'lowered', work, commands, deps };
}

/** Stages are lowered in order, and FROM names an earlier one. */
function loweredWork(base: StageNode | undefined): StageWork {
  if (base?.life.kind !== 'lowered') throw new Error('a stage is lowered before its base');
  return base.life.work;
}

/** Takes environment, directory and user from the base's config. */
function startStage({ request }: Conversion, stage: StageWork): void {
  const { config } = stage.image;
  if (!stage.image.env.has('PATH') && stage.platform?.os !== 'windows')
    setEnv(stage.image, ...splitEnv(DEFAULT_PATH));
  stage.state = { ...stage.state, env: stage.state.env.over(stage.image.env) };
  const hostname = request.buildArgs.get('BUILDKIT_SANDBOX_HOSTNAME');
  if (hostname) stage.state = { ...stage.state, hostname };
  if (config.WorkingDir) setWorkdir(stage, config.WorkingDir);
  if (config.User) stage.state = { ...stage.state, user: config.User };
  stage.state = { ...stage.state, network: NET_MODE[request.network] };
}

/** `--label` and the requested platform are put into the config last. */
function finish(
  { request, implicitTarget, target }: Conversion,
  image: Image,
): ReturnType<typeof finishImage> {
  if (request.labels.size > 0) setLabels(image, request.labels);
  if (!implicitTarget) {
    const same = target.os === image.os && target.architecture === image.architecture;
    image.os = target.os;
    image.architecture = target.architecture;
    if (target.variant) image.variant = target.variant;
    else if (!same) delete image.variant;
    if (target.osVersion) image['os.version'] = target.osVersion;
    else if (!same) delete image['os.version'];
  }
  const { variant } = normalisePlatform(platformOfImage(image));
  if (variant) image.variant = variant;
  else delete image.variant;
  return finishImage(image);
}
