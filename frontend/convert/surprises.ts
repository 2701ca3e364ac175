import type { ImageConfig } from '../../base/oci.ts';
import { formatPlatform } from '../../base/platform.ts';
import type { AddInstruction, CopyInstruction } from '../instructions.ts';
import type { Conversion } from './conversion.ts';
import type { LinkedInstruction, StageWork } from './stage.ts';
import type { Step } from './step.ts';

/*
 * Checks for lines that build as in Docker, but surprise the user of the image. Each check gives a
 * warning.
 */

/** Docker's engine and containerd's overlay refuse an image with more layers. */
const MOST_LAYERS = 127;
const MAKES_LAYER: ReadonlySet<string> = new Set(['run', 'copy', 'add', 'workdir']);

/** Warns at the instruction of the target that makes one layer too many, or at its FROM. */
export function warnManyLayers(
  { warn }: Conversion,
  target: StageWork,
  commands: readonly LinkedInstruction[],
  image: ImageConfig,
): void {
  const ofBase = target.baseImage?.rootfs?.diff_ids?.length ?? 0;
  const count = ofBase + layersIn(image) - layersIn(target.baseImage);
  if (count <= MOST_LAYERS) return;
  const own = commands.filter(({ instruction }) => MAKES_LAYER.has(instruction.kind));
  const first = own[own.length - (count - MOST_LAYERS)];
  const message =
    `The image has ${count} layers, and Docker accepts at most ${MOST_LAYERS}: put commands ` +
    'into one RUN, or build with --squash';
  warn('TooManyLayers', message, first?.instruction.range ?? target.node.errorRange);
}

function layersIn(config: ImageConfig | undefined): number {
  return (config?.history ?? []).filter(({ empty_layer }) => !empty_layer).length;
}

/** The image has the platform of `--platform`, whatever the platform of its last stage. */
export function warnOtherPlatform(
  { warn, implicitTarget, target: wanted }: Conversion,
  target: StageWork,
): void {
  const { platform } = target;
  if (
    implicitTarget ||
    !platform ||
    (platform.os === wanted.os && platform.architecture === wanted.architecture)
  )
    return;
  const message =
    `The last stage is for ${formatPlatform(platform)}, but the config of the image says ` +
    `${formatPlatform(wanted)}`;
  warn('LastStagePlatform', message, target.node.errorRange);
}

/** Directories that exist in nearly every base, so that a COPY does not make them. */
const USUAL =
  /^\/(?:(?:bin|etc|home|lib|lib64|media|mnt|opt|root|run|sbin|srv|tmp|usr|var)(?:\/|$)|$)/;

/**
 * A mode without x is meant for files. A directory that the COPY makes gets it too, and cannot be
 * entered then.
 */
export function warnChmod(
  { conversion, command }: Step,
  mode: number,
  sources: readonly string[],
  dest: string,
): void {
  if (mode < 0 || mode & 0o111) return;
  const makesDirectory = dest.endsWith('/')
    ? !USUAL.test(dest)
    : sources.some((source) => /(?:^|\/)\.?$/.test(source));
  if (!makesDirectory) return;
  const octal = mode.toString(8).padStart(4, '0');
  const message =
    `--chmod=${octal} also applies to directories, which only root can then enter: write ` +
    '--chmod=u=rwX,go=rX';
  conversion.warn('ChmodWithoutExecute', message, command.instruction.range);
}

/** A pattern of `--exclude` is matched below the source, not against its name. */
export function warnExclude(
  { conversion, command }: Step,
  { flags, sources }: CopyInstruction | AddInstruction,
): void {
  for (const pattern of flags.exclude) {
    if (sources.length !== 1 || trimmed(pattern) !== trimmed(sources[0]!)) continue;
    const message =
      `--exclude=${pattern} names the source itself, and excludes nothing: patterns are ` +
      'matched below it';
    conversion.warn('ExcludeNamesSource', message, command.instruction.range);
  }
}

const trimmed = (path: string) => path.replace(/^(?:\.?\/)+|\/+$/g, '');

/** A separate layer does not know the modes of the directories below it. */
export function warnLinkedTmp(
  { conversion, command }: Step,
  { flags }: CopyInstruction | AddInstruction,
  dest: string,
): void {
  const directory = /^\/(?:var\/)?tmp(?=\/)/.exec(dest)?.[0];
  if (!flags.link || directory === undefined) return;
  const message =
    `--link replaces ${directory} by a directory with mode 0755, in which only root can ` +
    'write: leave out --link';
  conversion.warn('LinkResetsMode', message, command.instruction.range);
}

/**
 * Records a CMD that a later ENTRYPOINT removes: one of this file, or one that the base image has
 * together with an ENTRYPOINT. Most images of distributions have a shell as their CMD and nothing
 * else, which nobody misses.
 */
export function warnDroppedCmd({ stage, command }: Step): void {
  if (stage.image.config.Cmd === undefined || stage.seen.has('cmd')) return;
  const { inheritedCmd } = stage;
  const { range } = command.instruction;
  if (inheritedCmd) stage.droppedCmd = { at: range, given: inheritedCmd.start.line };
  else if ((stage.image.config.Entrypoint ?? []).length > 0)
    stage.droppedCmd = { at: range, given: 'base' };
}

/** Called when the stage is complete: a later CMD of its own makes up for it. */
export function tellDroppedCmd({ warn }: Conversion, { droppedCmd, seen }: StageWork): void {
  if (!droppedCmd || seen.has('cmd')) return;
  const { given } = droppedCmd;
  const message =
    given === 'base'
      ? 'ENTRYPOINT drops the CMD of the base image, which was made for its ENTRYPOINT: ' +
        'write a CMD below'
      : `ENTRYPOINT drops the CMD of line ${given}, which the stage inherits: ` +
        'write it again below';
  warn('EntrypointDropsCmd', message, droppedCmd.at);
}

/** Mounts of one id with different owners are different caches, which share nothing. */
export function warnCacheOwners(
  { conversion, command }: Step,
  id: string,
  owner: CacheOwner,
): void {
  const text =
    owner.uid === undefined && owner.gid === undefined && owner.mode === undefined
      ? ''
      : ownerText(owner);
  const first = conversion.cacheOwners.get(id);
  if (first === undefined) conversion.cacheOwners.set(id, text);
  if (first === undefined || first === text) return;
  const message =
    `The cache ${JSON.stringify(id)} is mounted above with another uid, gid or mode: these ` +
    'are two caches that share nothing';
  conversion.warn('CacheOwnersDiffer', message, command.instruction.range);
}

/** The owner and mode that a cache mount gives its directory. */
interface CacheOwner {
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly mode: number | undefined;
}

function ownerText({ uid = 0, gid = 0, mode = 0o755 }: CacheOwner): string {
  return `${uid}:${gid} ${mode.toString(8)}`;
}
