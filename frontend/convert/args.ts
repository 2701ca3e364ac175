import { formatPlatformInFull, type Platform } from '../../base/platform.ts';
import type { ProxyEnv } from '../../solver/llb/exec-op.ts';
import type { ArgInstruction } from '../instructions.ts';
import { placeOf } from '../problem.ts';
import { placed } from './placed.ts';
import type { Env, Words } from './words.ts';

/**
 * The ARGs that exist in the global scope without being declared: what is built, where, and which
 * stage.
 */
export function platformArgs(
  build: Platform,
  target: Platform,
  stage: string,
  overrides: ReadonlyMap<string, string>,
): Map<string, string> {
  const of = (prefix: string, platform: Platform): [string, string][] => [
    [`${prefix}PLATFORM`, formatPlatformInFull(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, platform.osVersion ?? ''],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
  const defaults: [string, string][] = [
    ...of('BUILD', build),
    ...of('TARGET', target),
    ['TARGETSTAGE', stage || 'default'],
  ];
  return new Map(defaults.map(([key, value]) => [key, overrides.get(key) ?? value]));
}

/**
 * Adds the ARGs before the first FROM to `args`, each expanded by those before it. `--build-arg`
 * takes precedence over a default.
 */
export function globalArgs(
  args: ReadonlyMap<string, string>,
  declared: readonly ArgInstruction[],
  buildArgs: ReadonlyMap<string, string>,
  words: Words,
): Map<string, string> {
  const scope = new Map(args);
  for (const instruction of declared) {
    for (const { key, value } of instruction.args) {
      const given =
        buildArgs.get(key) ??
        (value === undefined
          ? undefined
          : placed(placeOf(instruction.range), () => words.word(value, scope).result));
      if (given === undefined) continue;
      scope.delete(key);
      scope.set(key, given);
    }
  }
  return scope;
}

/**
 * The proxies that `--build-arg` names, in upper or lower case. They reach RUN without being part
 * of any cache key.
 */
export function proxyEnv(buildArgs: ReadonlyMap<string, string>): ProxyEnv | undefined {
  const found: { -readonly [K in keyof ProxyEnv]: ProxyEnv[K] } = {};
  for (const key of [...buildArgs.keys()].sort()) {
    const value = buildArgs.get(key) as string;
    if (/^http_proxy$/i.test(key)) found.httpProxy = value;
    if (/^https_proxy$/i.test(key)) found.httpsProxy = value;
    if (/^ftp_proxy$/i.test(key)) found.ftpProxy = value;
    if (/^no_proxy$/i.test(key)) found.noProxy = value;
    if (/^all_proxy$/i.test(key)) found.allProxy = value;
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

/** An environment in which some names have other values. */
export function overlay(base: Env, over: ReadonlyMap<string, string>): Env {
  return {
    get: (name) => over.get(name) ?? base.get(name),
    keys: () => new Set([...over.keys(), ...base.keys()]),
  };
}
