import { KilnError } from '../../base/errors.ts';
import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatformInFull, normalisePlatform, type Platform } from '../../base/platform.ts';
import { formatReference, type Reference } from '../../base/reference.ts';
import { nearest } from '../../base/suggest.ts';
import { imageSource } from '../../solver/llb/builder.ts';
import type { ResolvedImage } from '../frontend.ts';
import { placeOf } from '../problem.ts';
import { findContext, loadNamedContext, platformOfImage } from './contexts.ts';
import type { Conversion } from './conversion.ts';
import { emptyImage, imageOn } from './image.ts';
import { imageNamed } from './imagename.ts';
import { triggersOf } from './onbuild.ts';
import { placedAsync } from './placed.ts';
import { type FoundContext, knownReads, type ResolvedBase, type StageNode } from './stage.ts';
import { emptyState } from './stage-state.ts';
import { workOn } from './stage-work.ts';
import { link, reachable, toCommand } from './stages.ts';
import { stepName } from './step-names.ts';
import { emptyEnv } from './words.ts';

/**
 * Resolves the base images of the targets, all at once, and puts the ONBUILD triggers of each base
 * in front of the instructions of its stage. A trigger may copy from another image, so this repeats
 * until no new image is needed. Stages that no target needs are not resolved.
 */
export async function resolveBases(
  conversion: Conversion,
  targets: readonly StageNode[],
): Promise<Set<StageNode>> {
  for (;;) {
    const needed = reachable(targets);
    const open = conversion.stages.all.filter(
      (stage) => needed.has(stage) && !stage.base && stage.life.kind === 'linked',
    );
    await resolveAll(conversion, open);
    let more = false;
    for (const stage of needed) more = addTriggers(conversion, stage) || more;
    if (!more) return needed;
  }
}

/** The number of images that are resolved at once. */
const AT_ONCE = 64;

/** Stops at the first failure: a file can name thousands of images. */
async function resolveAll(conversion: Conversion, stages: readonly StageNode[]): Promise<void> {
  const asked: StageNode[] = [];
  for (const stage of stages) {
    // The empty tree has no image to resolve.
    if (stage.baseName === 'scratch' && !stage.namedContext)
      settleBase(stage, emptyBase(conversion, stage));
    else asked.push(stage);
  }
  let next = 0;
  const one = async (): Promise<void> => {
    for (let stage = asked[next++]; stage; stage = asked[next++]) {
      const node = stage;
      try {
        await placedAsync(placeOf(node.errorRange), () => resolveBase(conversion, node));
      } catch (error) {
        next = asked.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, asked.length) }, one));
}

/**
 * Refuses invalid names of bases, even for stages that no target needs: whether a file is valid
 * does not depend on the target.
 */
export async function checkBaseNames(conversion: Conversion): Promise<void> {
  const sound = new Set(['scratch']);
  for (const stage of conversion.stages.all) {
    const { base, namedContext, baseName, errorRange } = stage;
    if (base || namedContext || sound.has(baseName)) continue;
    sound.add(baseName);
    await placedAsync(placeOf(errorRange), () =>
      suggesting(conversion, baseName, async () => imageNamed(baseName)),
    );
  }
}

async function resolveBase(conversion: Conversion, stage: StageNode): Promise<void> {
  settleBase(stage, await baseOf(conversion, stage));
}

function settleBase(stage: StageNode, base: ResolvedBase): void {
  const reads = knownReads(stage);
  // A context that replaces a stage, or is used without one, is the tree that others read.
  stage.life =
    stage.namedContext || !stage.registered
      ? { kind: 'lowered', work: workOn(stage, base), ...reads }
      : { kind: 'resolved', base, ...reads };
}

async function baseOf(conversion: Conversion, stage: StageNode): Promise<ResolvedBase> {
  if (stage.namedContext) return await replacement(conversion, stage, stage.namedContext);
  return stage.baseName === 'scratch'
    ? emptyBase(conversion, stage)
    : await resolveImage(conversion, stage);
}

function emptyBase({ target }: Conversion, { baseName }: StageNode): ResolvedBase {
  return {
    name: baseName,
    platform: target,
    state: emptyState(undefined),
    image: emptyImage(target),
    config: undefined,
  };
}

/** A named context that replaces a stage. The stage's instructions do not count. */
async function replacement(
  { request, target }: Conversion,
  stage: StageNode,
  found: FoundContext,
): Promise<ResolvedBase> {
  const { state, config } = await loadNamedContext(
    request,
    found,
    stage.platform ?? target,
    () => stage.paths,
  );
  return {
    name: stage.baseName,
    platform: config?.architecture && config.os ? platformOfImage(config) : stage.platform,
    state,
    image: config ? imageOn(config) : emptyImage(target),
    config: undefined,
  };
}

async function resolveImage(conversion: Conversion, stage: StageNode): Promise<ResolvedBase> {
  const { request } = conversion;
  const written = stage.baseName;
  const reference = await suggesting(conversion, written, async () => imageNamed(written));
  const platform = stage.platform ?? conversion.target;
  const name = formatReference(reference);
  const context = findContext(request, name, platform);
  if (context) {
    const { state, config } = await loadNamedContext(request, context, platform, () => stage.paths);
    if (config) checkPlatform(conversion, stage, written, config, platform);
    return {
      name,
      platform,
      state: { ...state, platform },
      image: config ? imageOn(config) : emptyImage(platform),
      config,
    };
  }
  const options = {
    pull: request.pull,
    ...(stage.name !== undefined && { stageName: stage.name }),
  };
  const resolved = await suggesting(conversion, written, () =>
    request.resolveImage(written, platform, options),
  );
  return takeImage(conversion, stage, { resolved, reference, platform, written });
}

interface Found {
  readonly resolved: ResolvedImage;
  readonly reference: Reference;
  readonly platform: Platform;
  readonly written: string;
}

function takeImage(
  conversion: Conversion,
  stage: StageNode,
  { resolved, reference, platform, written }: Found,
): ResolvedBase {
  const { config } = resolved;
  const implicit = stage.platform === undefined && conversion.implicitTarget;
  const chosen = implicit
    ? detectPlatform(config, platform, conversion.request.buildPlatform)
    : platform;
  const used = resolved.replaced ?? reference;
  const name = formatReference({ ...used, digest: resolved.digest });
  const base = { name, platform: chosen, image: imageOn(config), config };
  if (hasNoLayers(config)) return { ...base, state: emptyState(undefined) };
  const shown = stepName(stage.steps, `FROM ${name}`, {
    showPlatform: conversion.showPlatform,
    platform: chosen,
    env: emptyEnv,
  });
  const locations = stage.range ? [stage.range] : [];
  const tree = imageSource(name, {
    platform: chosen,
    // As in Docker's engine: an image in the store is used unless the request says otherwise.
    resolve: conversion.request.pull ? 'pull' : 'local',
    note: { name: shown, command: stage.original, locations },
  });
  checkPlatform(conversion, stage, written, config, chosen);
  return { ...base, state: emptyState(tree, chosen) };
}

/** Warns of a local image for another platform. The image is used all the same. */
function checkPlatform(
  conversion: Conversion,
  stage: StageNode,
  written: string,
  config: ImageConfig,
  wanted: Platform,
): void {
  if (config.os === wanted.os && config.architecture === wanted.architecture) return;
  const [expected, actual] = [wanted, platformOfImage(config)].map((p) =>
    formatPlatformInFull(normalisePlatform(p)),
  );
  const message =
    `Base image ${written} was pulled with platform "${actual}", expected ` +
    `"${expected}" for current build`;
  conversion.warn('InvalidBaseImagePlatform', message, stage.errorRange);
}

function hasNoLayers(config: ImageConfig): boolean {
  if ((config.rootfs?.diff_ids ?? []).length > 0) return false;
  return (config.history ?? []).every((entry) => entry.empty_layer);
}

function detectPlatform(config: ImageConfig, target: Platform, build: Platform): Platform {
  const same = (platform: Platform): boolean =>
    platform.os === config.os && platform.architecture === config.architecture;
  return same(build) && !same(target) ? build : target;
}

/** Suggests a stage when a name is not that of an image. */
async function suggesting<T>(
  conversion: Conversion,
  written: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof KilnError) || !/^KILN_(?:IMAGE|REGISTRY)_/.test(error.code)) throw error;
    const { registered, steps } = nearestStage(conversion, written) ?? {};
    const label = steps?.label;
    if (label === undefined) throw error;
    const isLater = registered && label === written.toLowerCase();
    const meant = isLater ? ` (the stage ${label} comes later)` : ` (did you mean ${label}?)`;
    throw error.with({
      message: error.message + meant,
      hint: isLater
        ? `put the stage ${label} above this line: FROM sees only stages before it`
        : `there is no stage ${written}, so an image was looked for: write ${label} for the stage`,
    });
  }
}

function nearestStage({ stages }: Conversion, written: string): StageNode | undefined {
  const same = stages.all.find(({ name }) => name !== undefined && name === written.toLowerCase());
  const near = same ? undefined : nearest(written.toLowerCase(), stages.names());
  return same ?? stages.all.find(({ steps }) => steps.label !== '' && steps.label === near);
}

/**
 * Each stage has its own copy of every trigger of its base, so their number can grow with the
 * square of the file.
 */
const MAX_TRIGGERS = 20_000;

/**
 * Puts the triggers of the base in front of the instructions, once. True when one of them reads
 * from a stage or image.
 */
function addTriggers(conversion: Conversion, stage: StageNode): boolean {
  const { life } = stage;
  const base = life.kind === 'resolved' ? life.base : undefined;
  if (!base && !(life.kind === 'linked' && stage.base)) return false;
  const { commands: own, deps } = knownReads(stage);
  const expressions = base ? (base.image.config.OnBuild ?? []) : triggersIn(stage.base);
  delete base?.image.config.OnBuild;
  countTriggers(conversion, stage, expressions.length);
  const triggers = triggersOf(expressions, base?.name ?? stage.baseName, stage.errorRange);
  const added = link(
    triggers.map((one) => toCommand(one, conversion.stages, conversion.words, true)),
    conversion.stages,
  );
  stage.steps.total += added.commands.length;
  stage.life = {
    kind: 'ready',
    base,
    commands: [...added.commands, ...own],
    deps: new Map([...deps, ...added.deps]),
  };
  return added.deps.size > 0;
}

const ownTriggers = new WeakMap<StageNode, readonly string[]>();

/**
 * The ONBUILDs in a stage of the file. They are collected once, because thousands of stages may be
 * built on it.
 */
function triggersIn(base: StageNode | undefined): readonly string[] {
  if (!base) return [];
  const known = ownTriggers.get(base);
  if (known) return known;
  const found = base.instructions.flatMap((one) =>
    one.kind === 'onbuild' ? [one.expression] : [],
  );
  ownTriggers.set(base, found);
  return found;
}

function countTriggers({ triggers }: Conversion, stage: StageNode, more: number): void {
  triggers.count += more;
  if (triggers.count <= MAX_TRIGGERS) return;
  throw new KilnError(
    'KILN_DOCKERFILE_TOO_COMPLEX',
    `the ONBUILDs of all bases together are more than ${MAX_TRIGGERS} instructions`,
    {
      place: placeOf(stage.errorRange),
      hint: 'write what they do into one stage, and build the others on that',
    },
  );
}
