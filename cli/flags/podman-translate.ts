import { statSync } from 'node:fs';
import { KilnError } from '../../base/errors.ts';
import type { OutputSpec } from '../../exporter/output-spec.ts';
import { hostPlatform } from '../../registry/platforms.ts';
import { flagError } from '../flag-error.ts';
import { booleanValue } from '../flagwords.ts';
import type { RawFlags } from './given-flags.ts';
import { goInteger } from './go-integer.ts';
import { checkFixed } from './podman-fixed.ts';

/** A command line with flags of podman, as `kiln build` reads it. */
export interface Translated {
  /** The same in the words of docker's flags. */
  readonly flags: RawFlags;
  /** Media types of images: true for those of OCI, false for those of docker. */
  readonly ociTypes: boolean | undefined;
  /** False: times of files that are later than the epoch stay. */
  readonly rewriteTimestamp: boolean | undefined;
  /** The file with the logins. */
  readonly authFile: string | undefined;
  /** Says whether steps get the proxies of the environment. Undefined: those docker gives. */
  readonly httpProxy: boolean | undefined;
}

/**
 * Translates the flags of podman in `given`. `warn` gets a sentence about each that has no effect.
 * Throws KILN_FLAG_VALUE for a value that cannot be taken, KILN_FLAG_UNSUPPORTED for one that asks
 * for what Kiln does not do, and KILN_USAGE when two flags say the same thing.
 */
export function translatePodmanFlags(
  given: RawFlags,
  warn: (sentence: string) => void,
): Translated {
  const text = (flag: string) => given[nameOf(flag)] as string | undefined;
  const bool = (flag: string) => {
    const value = text(flag);
    return value === undefined ? undefined : booleanValue(value, flag);
  };
  checkFixed(text);
  for (const flag of ['--retry', '--retry-delay'])
    if (text(flag) !== undefined)
      warn(`${flag} has no effect: Kiln decides how often and when it asks a registry again`);
  if (bool('--disable-content-trust') === false)
    throw flagError(
      '--disable-content-trust',
      'Kiln does not verify image signatures',
      'name bases by their digests',
    );
  return {
    flags: {
      ...given,
      ...parallelism(given, text),
      ...platform(given, text),
      ...epoch(given, text),
      ...(bool('--layers') === false && { squash: true }),
    },
    ociTypes: ociTypes(text('--format')),
    rewriteTimestamp: bool('--rewrite-timestamp'),
    authFile: authFile(text('--authfile')),
    httpProxy: bool('--http-proxy'),
  };
}

/** Returns `outputs` with the media types and times that the flags ask for. */
export function imagesInForm(
  outputs: readonly OutputSpec[],
  { ociTypes, rewriteTimestamp }: Translated,
): readonly OutputSpec[] {
  return outputs.map((output) => {
    if (!('image' in output)) return output;
    const image = {
      ...output.image,
      ...(ociTypes !== undefined && { ociTypes: output.image.ociTypes ?? ociTypes }),
      ...(rewriteTimestamp === false && { rewriteTimestamp }),
    };
    return { ...output, image };
  });
}

type Text = (flag: string) => string | undefined;

function parallelism(given: RawFlags, text: Text): RawFlags {
  const jobs = text('--jobs');
  if (jobs === undefined) return {};
  if (given['maxParallelism'] !== undefined) throw both('--jobs', '--max-parallelism');
  const count = goInteger(jobs);
  if (count === undefined || count < 0)
    throw flagError('--jobs', `${JSON.stringify(jobs)} is not a number of steps`);
  return count === 0 ? {} : { maxParallelism: String(count) };
}

/** `--os`, `--arch` and `--variant` are the parts of one platform. */
function platform(given: RawFlags, text: Text): RawFlags {
  const parts = ['--os', '--arch', '--variant'];
  const flag = parts.find((part) => text(part) !== undefined);
  if (flag === undefined) return {};
  if (given['platform'] !== undefined) throw both(flag, '--platform');
  const host = hostPlatform();
  const [os = host.os, arch = host.architecture, variant] = parts.map(text);
  return { platform: [[os, arch, ...(variant ? [variant] : [])].join('/')] };
}

/** Both flags set the build argument, which docker has for it. */
function epoch(given: RawFlags, text: Text): RawFlags {
  const flags = ['--timestamp', '--source-date-epoch'].filter((flag) => text(flag) !== undefined);
  const [flag, other] = flags;
  if (flag === undefined) return {};
  if (other !== undefined) throw both(flag, other);
  const seconds = text(flag) ?? '';
  if (!/^\d{1,12}$/.test(seconds))
    throw flagError(
      flag,
      `${JSON.stringify(seconds)} is not a number of seconds`,
      `write it like ${flag} $(git log -1 --pretty=%ct)`,
    );
  const buildArgs = (given['buildArg'] as readonly string[] | undefined) ?? [];
  if (buildArgs.some((argument) => argument.startsWith('SOURCE_DATE_EPOCH=')))
    throw both(flag, '--build-arg SOURCE_DATE_EPOCH');
  return { buildArg: [...buildArgs, `SOURCE_DATE_EPOCH=${seconds}`] };
}

function ociTypes(format: string | undefined): boolean | undefined {
  if (format === undefined) return undefined;
  if (/^(?:oci|ociv1)$/.test(format)) return true;
  if (/^(?:docker|v2s2|dockerv2)$/.test(format)) return false;
  throw flagError('--format', `${JSON.stringify(format)} is not a format`, 'write oci or docker');
}

function authFile(path: string | undefined): string | undefined {
  if (path === undefined || statSync(path, { throwIfNoEntry: false })?.isFile()) return path;
  throw flagError(
    '--authfile',
    `there is no file ${path}`,
    "'kiln login' writes one: DOCKER_CONFIG names its directory",
  );
}

function both(flag: string, other: string): KilnError {
  return new KilnError('KILN_USAGE', `${flag} and ${other} cannot be used together`, {
    place: { kind: 'flag', flag },
    hint: 'use only one of them',
    exitCode: 2,
  });
}

/** The name of a flag in commander: `--build-arg` is `buildArg`. */
function nameOf(flag: string): string {
  return flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
