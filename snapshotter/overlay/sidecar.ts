import { readFileSync } from 'node:fs';
import { isDigest } from '../../base/digest.ts';
import type { BlobForm } from '../content.ts';
import type { LayerId, LayerInfo } from '../snapshotter.ts';

/**
 * What is known of a committed layer: a row of the table, and `layer.json` beside the layer's
 * files.
 */
export interface LayerRecord {
  readonly id: LayerId;
  /** Known from the start for an unpacked layer, after `describe` for one that a step made. */
  readonly info?: LayerInfo | undefined;
  /** False for a layer that was unpacked above others and means nothing without them. */
  readonly alone: boolean;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The boot in which the layer was made: see LayerTable. */
  readonly boot: string;
  /**
   * What the tars of a layer of a step are whose times are cut to a second, by that second. Only
   * beside the layer.
   */
  readonly clamped?: Readonly<Record<string, LayerInfo>> | undefined;
  /** What a layer that does not stand alone was unpacked above. Only beside the layer. */
  readonly below?: readonly LayerId[] | undefined;
  /** The blob an unpacked layer came in. Only beside the layer: the table of forms has it, too. */
  readonly form?: BlobForm | undefined;
}

export const SIDECAR = 'layer.json';

export function sidecarOf(record: LayerRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/** The record beside a layer, when there is one, whole, for the directory called `name`. */
export function readSidecar(path: string, name: string): LayerRecord | undefined {
  let record: Partial<LayerRecord>;
  try {
    record = JSON.parse(readFileSync(path, 'utf8')) as Partial<LayerRecord>;
  } catch {
    // Absent or torn: the layer was not complete, or a power cut took it.
    return undefined;
  }
  if (record.id !== name || !isLayerId(record.id)) return undefined;
  if (typeof record.alone !== 'boolean' || typeof record.created !== 'number' || typeof record.boot !== 'string')
    return undefined;
  if (record.info && !isInfo(record.info)) return undefined;
  if (record.clamped && !Object.entries(record.clamped).every(([second, info]) => /^\d{1,12}$/.test(second) && isInfo(info)))
    return undefined;
  if (record.form && !(isDigest(record.form.diffId) && isDigest(record.form.digest))) return undefined;
  if (record.below !== undefined && !isIdList(record.below)) return undefined;
  return record as LayerRecord;
}

function isInfo(value: unknown): boolean {
  const { diffId, tarSize, empty } = Object(value) as Partial<LayerInfo>;
  return typeof diffId === 'string' && isDigest(diffId) && typeof tarSize === 'number' && typeof empty === 'boolean';
}

function isIdList(value: unknown): boolean {
  return Array.isArray(value) && value.every((id) => typeof id === 'string' && isLayerId(id));
}

/**
 * Layer ids come back from cache records and from disk, and become paths: this form and no other.
 */
export function isLayerId(text: string): text is LayerId {
  return /^[a-z0-9]{8,80}$/.test(text);
}

/**
 * A layer of a step with its times clamped to a second since 1970: the same directory under another
 * id, with a tar of its own. Such an id is the layer's, the letter t and the second.
 */
export function clampedId(id: LayerId, second: number): LayerId {
  return isUnpacked(id) ? id : (`${originalOf(id).id}t${second}` as LayerId);
}

/** The layer whose directory a layer has, and the second its times are clamped to, if they are. */
export function originalOf(id: LayerId): { readonly id: LayerId; readonly clamp?: number } {
  const match = /^([0-9a-f]{32})t(\d{1,12})$/.exec(id);
  return match?.[1] ? { id: match[1] as LayerId, clamp: Number(match[2]) } : { id };
}

/**
 * Whether the layer came as a blob: its id then has a letter and a sha256 (see snapshotter.ts); one
 * of a step has 32 hex digits.
 */
export function isUnpacked(id: LayerId): boolean {
  return id.length > 64;
}
