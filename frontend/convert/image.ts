import { KilnError } from '../../base/errors.ts';
import {
  type ContainerConfig,
  DEFAULT_PATH,
  type HistoryEntry,
  type ImageConfig,
} from '../../base/oci.ts';
import type { Platform } from '../../base/platform.ts';
import { redactUrl } from '../../base/redact.ts';
import { jsonTime } from './goformat.ts';
import { envOf } from './stage-state.ts';
import { Versions } from './versions.ts';

const COMMENT = 'buildkit.dockerfile.v0';

/**
 * An image config that is being built. The parts that grow with each instruction are kept beside
 * the config and put into it at the end. They are immutable lists and maps (versions.ts), so that
 * stages share them.
 */
export interface Image {
  architecture: string;
  os: string;
  variant?: string;
  'os.version'?: string;
  author?: string;
  config: ContainerConfig;
  /** `NAME=value` by name. */
  env: Versions<string>;
  labels: Versions<string>;
  ports: Versions<object>;
  volumes: Versions<object>;
  history: History | undefined;
  [unknown: string]: unknown;
}

/** The lines of a history, the last one first. */
interface History {
  readonly entry: HistoryEntry;
  readonly before: History | undefined;
  /** The characters of all lines that instructions have added. */
  readonly size: number;
}

const empty = new WeakMap<Platform, ImageConfig>();

/** The config of an image without a base. */
export function emptyImage(platform: Platform): Image {
  const config = empty.get(platform) ?? emptyConfig(platform);
  empty.set(platform, config);
  return imageOn(config);
}

function emptyConfig(platform: Platform): ImageConfig {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...(platform.variant && { variant: platform.variant }),
    ...(platform.osVersion && { 'os.version': platform.osVersion }),
    config: { WorkingDir: '/', ...(platform.os !== 'windows' && { Env: [DEFAULT_PATH] }) },
    history: [],
  };
}

const known = new WeakMap<ImageConfig, Image>();

/**
 * A base's config to build on. All fields are kept, known or not, except its time and its layers,
 * which the exporter sets. Thousands of stages may be built on the same base.
 */
export function imageOn(base: ImageConfig): Image {
  const before = known.get(base);
  if (before) return cloneImage(before);
  const { created: _created, rootfs: _rootfs, config, history, ...copy } = structuredClone(base);
  const image: Image = {
    ...copy,
    config: config ?? {},
    env: envOf(config?.Env ?? []),
    labels: Versions.of('stays', Object.entries(config?.Labels ?? {})),
    ports: Versions.of('stays', Object.entries(config?.ExposedPorts ?? {})),
    volumes: Versions.of('stays', Object.entries(config?.Volumes ?? {})),
    history: (history ?? []).reduce<History | undefined>(
      (lines, entry) => ({ entry, before: lines, size: 0 }),
      undefined,
    ),
  };
  known.set(base, image);
  return cloneImage(image);
}

/** Values in a config are replaced, never changed. */
export function cloneImage(image: Image): Image {
  return { ...image, config: { ...image.config } };
}

/** An image with a nearly as long history cannot be pushed: registries take configs of 4 MiB. */
const MAX_HISTORY = 8 << 20;

/**
 * Adds a line to the history, without the logins of URLs. `epoch` (seconds) is given when all times
 * are pinned. Throws KILN_DOCKERFILE_TOO_COMPLEX when the lines become too long, as with variables
 * that are made of themselves.
 */
export function commit(
  image: Image,
  createdBy: string,
  layer: boolean,
  epoch: number | undefined,
): void {
  const entry: HistoryEntry = {
    ...(epoch !== undefined && { created: jsonTime(epoch) }),
    created_by: redactUrl(createdBy),
    comment: COMMENT,
    ...(!layer && { empty_layer: true }),
  };
  const size = (image.history?.size ?? 0) + createdBy.length;
  if (size > MAX_HISTORY) {
    throw new KilnError(
      'KILN_DOCKERFILE_TOO_COMPLEX',
      `the image's history would have more than ${MAX_HISTORY} characters`,
      {
        hint:
          'declare fewer ARGs before the RUNs, or make values and paths that do not grow with ' +
          'each instruction',
      },
    );
  }
  image.history = { entry, before: image.history, size };
}

/** Sets a variable of the image's environment, in its position or at the end. */
export function setEnv(image: Image, key: string, value: string): void {
  image.env = image.env.with(key, `${key}=${value}`);
  image.config.Env ??= [];
}

/** Sets labels, in their positions or at the end. */
export function setLabels(image: Image, entries: Iterable<readonly [string, string]>): void {
  image.labels = image.labels.withAll(entries);
  image.config.Labels ??= {};
}

export function addPorts(image: Image, ports: readonly string[]): void {
  image.ports = image.ports.withAll(ports.map((port) => [port, {}]));
  image.config.ExposedPorts ??= {};
}

export function addVolumes(image: Image, paths: readonly string[]): void {
  image.volumes = image.volumes.withAll(paths.map((path) => [path, {}]));
  image.config.Volumes ??= {};
}

/** The final config. Empty lists and maps are left out, as in Docker. */
export function finishImage(image: Image): ImageConfig {
  const { env, labels, ports, volumes, history, config, ...rest } = image;
  const grown: Readonly<Record<string, unknown>> = {
    Env: env.entries().map(([, entry]) => entry),
    Labels: Object.fromEntries(labels),
    ExposedPorts: Object.fromEntries(ports),
    Volumes: Object.fromEntries(volumes),
  };
  // A field keeps its position in the config.
  const entries = Object.entries(config).map(([key, value]) => [key, grown[key] ?? value] as const);
  const lines = historyOf(history);
  return {
    ...rest,
    ...(lines.length > 0 && { history: lines }),
    config: Object.fromEntries(entries.filter(([, value]) => !isEmpty(value))),
  };
}

function historyOf(last: History | undefined): HistoryEntry[] {
  const lines: HistoryEntry[] = [];
  for (let line = last; line; line = line.before) lines.push(line.entry);
  return lines.reverse();
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
