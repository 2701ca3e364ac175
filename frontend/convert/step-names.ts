import {
  formatPlatformInFull,
  normalisePlatform,
  type Platform,
  parsePlatform,
} from '../../base/platform.ts';
import type { StepCount } from './stage.ts';
import type { Step } from './step.ts';
import type { Env, WordMode, Words } from './words.ts';

export interface NamedStep {
  /** True when several platforms are built. */
  readonly showPlatform: boolean;
  readonly platform: Platform | undefined;
  readonly env: Env;
  /** True when the step comes from an ONBUILD. */
  readonly isOnBuild?: boolean;
}

/** Puts `[stage 2/3] ` before the text of a step, and counts the step. */
export function stepName(
  count: StepCount,
  what: string,
  { showPlatform, platform, env, isOnBuild }: NamedStep,
): string {
  if (count.total === 0) return what;
  count.shown++;
  const shownPlatform =
    showPlatform && platform
      ? `${formatPlatformInFull(platform)}${crossTarget(platform, env)} `
      : '';
  const label = count.label ? `${count.label} ` : '';
  const number = String(count.shown).padStart(String(count.total).length);
  return `[${shownPlatform}${label}${number}/${count.total}] ${isOnBuild ? 'ONBUILD ' : ''}${what}`;
}

/** The name of an instruction's step. */
export function nameOfStep(
  { stage, conversion, command }: Step,
  what: string,
  platform = stage.platform,
): string {
  const { showPlatform } = conversion;
  return stepName(stage.node.steps, what, {
    showPlatform,
    platform,
    env: stage.state.env,
    isOnBuild: command.isOnBuild,
  });
}

/** `->arm64` when the stage's environment says that it builds for a platform other than its own. */
function crossTarget(platform: Platform, env: Env): string {
  const target = targetOf(env, platform);
  if (!target) return '';
  if (target.os !== platform.os) return `->${formatPlatformInFull(target)}`;
  if (target.architecture === platform.architecture) return '';
  return `->${target.architecture}${target.variant ? `/${target.variant}` : ''}`;
}

function targetOf(env: Env, platform: Platform): Platform | undefined {
  const whole = env.get('TARGETPLATFORM');
  if (whole !== undefined) {
    try {
      return parsePlatform(whole, platform);
    } catch {
      // A value that is not a platform is ignored.
    }
  }
  const [os, architecture, variant] = ['TARGETOS', 'TARGETARCH', 'TARGETVARIANT'].map((key) =>
    env.get(key),
  );
  if (os === undefined && architecture === undefined && variant === undefined) return undefined;
  return normalisePlatform({
    os: os || platform.os,
    architecture: architecture || platform.architecture,
    ...(variant && { variant }),
  });
}

/**
 * The instruction as written, with its keyword in upper case and its variables replaced where
 * possible.
 */
export function instructionText(original: string, words: Words, env: Env, mode: WordMode): string {
  let text = original;
  try {
    text = words.word(original, env, mode).result;
  } catch {
    // An instruction that cannot be expanded as a whole is shown as written.
  }
  const space = text.indexOf(' ');
  return space < 0 ? text.toUpperCase() : text.slice(0, space).toUpperCase() + text.slice(space);
}

/** The first line of a heredoc, for the name of its RUN. */
export function heredocSummary(body: string): string {
  const lines = body.trim().replaceAll('\r\n', '\n').split('\n');
  return `${lines[0]}${lines.length > 1 ? '...' : ''}`;
}
