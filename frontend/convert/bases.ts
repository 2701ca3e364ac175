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
import type { StageNode } from './stage.ts';
import { emptyState } from './stage-state.ts';
import { addDependencies, reachable, toCommand } from './stages.ts';
import { stepName } from './step-names.ts';
import { emptyEnv } from './words.ts';

/**
 * Asks what the images are on which the targets are built, all at once, and puts the ONBUILD triggers they carry in front of the
 * instructions of their stage. A trigger may copy from a further image, so this goes on until nothing new is needed. Stages
 * that no target needs are not asked about.
 */
export async function resolveBases(conversion: Conversion, targets: readonly StageNode[]): Promise<Set<StageNode>> {
  for (;;) {
    const needed = reachable(targets);
    const open = conversion.stages.all.filter(
      (stage) => needed.has(stage) && !stage.base && !stage.dispatched && !stage.resolved,
    );
    await Promise.all(open.map((stage) => placedAsync(placeOf(stage.errorRange), () => resolveBase(conversion, stage))));
    let more = false;
    for (const stage of needed) more = addTriggers(conversion, stage) || more;
    if (!more) return needed;
  }
}

/** Refuses names of bases that no image can have, of stages that no target needs, too: a file is sound or not whatever is built of it. */
export async function checkBaseNames(conversion: Conversion): Promise<void> {
  for (const stage of conversion.stages.all) {
    const { base, namedContext, baseName, errorRange } = stage;
    if (base || namedContext || baseName === 'scratch') continue;
    await placedAsync(placeOf(errorRange), () => suggesting(conversion, baseName, async () => imageNamed(baseName)));
  }
}

async function resolveBase(conversion: Conversion, stage: StageNode): Promise<void> {
  stage.resolved = true;
  if (stage.baseName === 'scratch' && !stage.namedContext) {
    stage.state = emptyState(undefined);
    stage.image = emptyImage(conversion.target);
    stage.platform = conversion.target;
  } else if (stage.namedContext) await replaceStage(conversion, stage);
  else await resolveImage(conversion, stage);
  if (!stage.registered) stage.dispatched = true;
}

/** A named context in place of a stage: its instructions do not count. */
async function replaceStage(conversion: Conversion, stage: StageNode): Promise<void> {
  if (!stage.namedContext) return;
  const platform = stage.platform ?? conversion.target;
  const { state, config } = await loadNamedContext(conversion.request, stage.namedContext, platform, () => stage.paths);
  stage.state = state;
  stage.dispatched = true;
  if (!config) return;
  stage.image = imageOn(config);
  if (config.architecture && config.os) stage.platform = platformOfImage(config);
}

async function resolveImage(conversion: Conversion, stage: StageNode): Promise<void> {
  const { request } = conversion;
  const written = stage.baseName;
  const reference = await suggesting(conversion, written, async () => imageNamed(written));
  const platform = stage.platform ?? conversion.target;
  stage.baseName = formatReference(reference);
  const context = findContext(request, stage.baseName, platform);
  if (context) {
    const { state, config } = await loadNamedContext(request, context, platform, () => stage.paths);
    stage.baseImage = config;
    stage.image = config ? imageOn(config) : emptyImage(platform);
    if (config) checkPlatform(conversion, stage, written, config, platform);
    stage.state = { ...state, platform };
    stage.platform = platform;
    return;
  }
  const options = { pull: request.pull, ...(stage.name !== undefined && { stageName: stage.name }) };
  const resolved = await suggesting(conversion, written, () => request.resolveImage(written, platform, options));
  takeImage(conversion, stage, { resolved, reference, platform, written });
}

interface Found {
  readonly resolved: ResolvedImage;
  readonly reference: Reference;
  readonly platform: Platform;
  readonly written: string;
}

function takeImage(conversion: Conversion, stage: StageNode, { resolved, reference, platform, written }: Found): void {
  const { config } = resolved;
  stage.baseImage = config;
  stage.image = imageOn(config);
  const implicit = stage.platform === undefined && conversion.implicitTarget;
  const chosen = implicit ? detectPlatform(config, platform, conversion.request.buildPlatform) : platform;
  stage.baseName = formatReference({ ...reference, digest: resolved.digest });
  stage.platform = chosen;
  if (hasNoLayers(config)) {
    stage.state = emptyState(undefined);
    return;
  }
  const name = stepName(stage, `FROM ${stage.baseName}`, conversion.showPlatform, chosen, emptyEnv);
  const locations = stage.range ? [stage.range] : [];
  const tree = imageSource(stage.baseName, {
    platform: chosen,
    // As Docker's engine does: what the store has is used, unless asked for otherwise.
    resolve: conversion.request.pull ? 'pull' : 'local',
    note: { name, command: stage.original, locations },
  });
  stage.state = emptyState(tree, chosen);
  checkPlatform(conversion, stage, written, config, chosen);
}

/** An image that is here is taken whatever it is for; that it is for another platform is told. */
function checkPlatform(conversion: Conversion, stage: StageNode, written: string, config: ImageConfig, wanted: Platform): void {
  if (config.os === wanted.os && config.architecture === wanted.architecture) return;
  const [expected, actual] = [wanted, platformOfImage(config)].map((p) => formatPlatformInFull(normalisePlatform(p)));
  const message = `Base image ${written} was pulled with platform "${actual}", expected "${expected}" for current build`;
  conversion.warn('InvalidBaseImagePlatform', message, stage.errorRange);
}

function hasNoLayers(config: ImageConfig): boolean {
  if ((config.rootfs?.diff_ids ?? []).length > 0) return false;
  return (config.history ?? []).every((entry) => entry.empty_layer);
}

function detectPlatform(config: ImageConfig, target: Platform, build: Platform): Platform {
  const same = (platform: Platform): boolean => platform.os === config.os && platform.architecture === config.architecture;
  return same(build) && !same(target) ? build : target;
}

/** A name that is no image may be meant to be a stage. */
async function suggesting<T>(conversion: Conversion, written: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof KilnError) || !/^KILN_(?:IMAGE|REGISTRY)_/.test(error.code)) throw error;
    const { registered, label } = nearestStage(conversion, written) ?? {};
    if (label === undefined) throw error;
    const { code, message, place, hint, exitCode, notes, cause } = error;
    const meant =
      registered && label === written.toLowerCase() ? ` (the stage ${label} comes later)` : ` (did you mean ${label}?)`;
    throw new KilnError(code, message + meant, {
      place,
      hint: hint ?? `the stages are: ${conversion.stages.names().join(', ')}`,
      exitCode,
      notes,
      cause,
    });
  }
}

function nearestStage({ stages }: Conversion, written: string): StageNode | undefined {
  const same = stages.all.find(({ name }) => name !== undefined && name === written.toLowerCase());
  const near = same ? undefined : nearest(written.toLowerCase(), stages.names());
  return same ?? stages.all.find(({ label }) => label !== '' && label === near);
}

/** Each stage has its own of every trigger of its base: their number can grow with the square of the file. */
const MAX_TRIGGERS = 20_000;

/** True when a trigger reads from a stage or image. */
function addTriggers(conversion: Conversion, stage: StageNode): boolean {
  if (stage.dispatched || stage.onBuildDone || (!stage.base && !stage.resolved)) return false;
  stage.onBuildDone = true;
  const fromBase =
    stage.base?.commands.flatMap(({ instruction }) => (instruction.kind === 'onbuild' ? [instruction.expression] : [])) ?? [];
  const expressions = [...(stage.base ? [] : (stage.image.config.OnBuild ?? [])), ...fromBase];
  delete stage.image.config.OnBuild;
  if (expressions.length === 0) return false;
  conversion.triggers.count += expressions.length;
  if (conversion.triggers.count > MAX_TRIGGERS) {
    throw new KilnError(
      'KILN_DOCKERFILE_TOO_COMPLEX',
      `the ONBUILDs of all bases together are more than ${MAX_TRIGGERS} instructions`,
      {
        place: placeOf(stage.errorRange),
        hint: 'write what they do into one stage, and build the others on that',
      },
    );
  }
  const commands = triggersOf(expressions, stage.baseName, stage.errorRange).map((i) =>
    toCommand(i, conversion.stages, conversion.words, true),
  );
  for (const command of commands) addDependencies(stage, command, conversion.stages);
  stage.commands = [...commands, ...stage.commands];
  stage.total += commands.length;
  return commands.some((command) => command.sources.length > 0);
}
