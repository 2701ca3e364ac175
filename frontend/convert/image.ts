import type { ContainerConfig, HistoryEntry, ImageConfig } from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';
import { redactUrl } from '../../base/redact.ts';
import { jsonTime } from './goformat.ts';

/** The PATH of an image that names none (not on Windows, where the system has one). */
export const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const COMMENT = 'buildkit.dockerfile.v0';

/** An image config in the making; `config` and `history` are always there. */
export interface Image extends ImageConfig {
  config: ContainerConfig;
  history: HistoryEntry[];
}

/** The config of an image without a base. */
export function emptyImage(platform: Platform): Image {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant && { variant: platform.variant }),
    ...(platform.osVersion && { 'os.version': platform.osVersion }),
    config: { WorkingDir: '/', ...(platform.os !== 'windows' && { Env: [DEFAULT_PATH] }) },
    history: [],
  };
}

/** A copy of a base's config to build on: with all it says, known or not, but its time and its layers, which the exporter gives. */
export function imageOn(base: ImageConfig): Image {
  const { created: _created, rootfs: _rootfs, ...copy } = structuredClone(base);
  return { ...copy, architecture: copy.architecture, os: copy.os, config: copy.config ?? {}, history: copy.history ?? [] };
}

export function cloneImage(image: Image): Image {
  return structuredClone(image);
}

/** Adds a line to the history, without the logins of URLs. `epoch` (seconds) when all times are pinned. */
export function commit(image: Image, createdBy: string, layer: boolean, epoch: number | undefined): void {
  image.history.push({
    ...(epoch !== undefined && { created: jsonTime(epoch) }),
    created_by: redactUrl(createdBy),
    comment: COMMENT,
    ...(!layer && { empty_layer: true }),
  });
}

/** Sets a variable of the image's environment where it stands, or at the end. */
export function setEnv(config: ContainerConfig, key: string, value: string): void {
  const env = [...(config.Env ?? [])];
  const index = env.findIndex((entry) => splitEnv(entry)[0] === key);
  if (index >= 0) env[index] = `${key}=${value}`;
  else env.push(`${key}=${value}`);
  config.Env = env;
}

export function splitEnv(entry: string): readonly [string, string] {
  const equals = entry.indexOf('=');
  return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
}

/** The config as it is given out: lists and maps that are empty are left out, as Docker leaves them out. */
export function finishImage(image: Image): ImageConfig {
  const entries = Object.entries(image.config).filter(([, value]) => !isEmpty(value));
  const { history, ...rest } = image;
  return { ...rest, ...(history.length > 0 && { history }), config: Object.fromEntries(entries) };
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
