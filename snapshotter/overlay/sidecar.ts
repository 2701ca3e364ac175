import { randomBytes } from 'node:crypto';
import { isDigest } from '../../base/digest.ts';
import type { BlobForm } from '../content.ts';
import type { LayerId, LayerInfo, TarForm } from '../snapshotter.ts';
import { readOwn } from '../store/own-file.ts';

/**
 * What is known of a committed layer: it is stored as a row of the table, and as `layer.json` (the
 * sidecar) beside the layer's files.
 */
export interface LayerRecord {
  readonly id: LayerId;
  /**
   * Known from the start for an unpacked layer. For a layer of a step it is known after `describe`.
   */
  readonly info?: LayerInfo | undefined;
  /** False for a layer that was unpacked above others and means nothing without them. */
  readonly alone: boolean;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** The boot in which the layer was made (see LayerTable). */
  readonly boot: string;
  /**
   * The tars of a step's layer in other forms, by the form: the second to which times are clamped,
   * `w` for Windows, or `wt` and that second for both. Only in the sidecar.
   */
  readonly clamped?: Readonly<Record<string, LayerInfo>> | undefined;
  /** The layers above which a layer was unpacked that does not stand alone. Only in the sidecar. */
  readonly below?: readonly LayerId[] | undefined;
  /**
   * The blob from which a layer was unpacked. Only in the sidecar: the table of forms holds it too.
   */
  readonly form?: BlobForm | undefined;
}

export const SIDECAR = 'layer.json';

export function sidecarOf(record: LayerRecord): string {
  return `${JSON.stringify(record)}\n`;
}

/**
 * The sidecar of the layer directory called `name`. Undefined when it is missing or not complete.
 */
export function readSidecar(path: string, name: string): LayerRecord | undefined {
  let record: Partial<LayerRecord>;
  try {
    record = JSON.parse(String(readOwn(path))) as Partial<LayerRecord>;
  } catch {
    // It is missing or torn: the layer was not complete, or a power cut destroyed it.
    return undefined;
  }
  if (record.id !== name || !isLayerId(record.id)) return undefined;
  if (
    typeof record.alone !== 'boolean' ||
    typeof record.created !== 'number' ||
    typeof record.boot !== 'string'
  )
    return undefined;
  if (record.info && !isInfo(record.info)) return undefined;
  if (
    record.clamped &&
    !Object.entries(record.clamped).every(
      ([form, info]) => /^(?:w|(?:wt)?\d{1,12})$/.test(form) && isInfo(info),
    )
  )
    return undefined;
  if (record.form && !(isDigest(record.form.diffId) && isDigest(record.form.digest)))
    return undefined;
  if (record.below !== undefined && !isIdList(record.below)) return undefined;
  return record as LayerRecord;
}

function isInfo(value: unknown): boolean {
  const { diffId, tarSize, empty } = Object(value) as Partial<LayerInfo>;
  return (
    typeof diffId === 'string' &&
    isDigest(diffId) &&
    typeof tarSize === 'number' &&
    typeof empty === 'boolean'
  );
}

function isIdList(value: unknown): boolean {
  return Array.isArray(value) && value.every((id) => typeof id === 'string' && isLayerId(id));
}

/**
 * Checks the form of a layer id. Ids come from cache records and from disk, and become paths, so no
 * other form is accepted.
 */
export function isLayerId(text: string): text is LayerId {
  return /^[a-z0-9]{8,80}$/.test(text);
}

/**
 * The id of a step's layer with a tar of another form. It stands for the same directory. It is made
 * of the layer's id, the letter w for the form of Windows, and for clamped times the letter t and
 * the second since 1970.
 */
export function idOfForm(id: LayerId, { clamp, windows = false }: TarForm): LayerId {
  if (isUnpacked(id)) return id;
  const time = clamp === undefined ? '' : `t${clamp}`;
  return `${originalOf(id).id}${windows ? 'w' : ''}${time}` as LayerId;
}

/** The id of what an unpacked layer in the form of Windows has below `Files`. */
export function windowsFilesId(id: LayerId): LayerId {
  return isUnpacked(id) ? (`${originalOf(id).id}w` as LayerId) : id;
}

/**
 * The layer that owns the directory of `id`, and how `id` differs: in the form of the tar, or, for
 * an unpacked layer with `windows`, in standing only for what is below `Files`.
 */
export function originalOf(id: LayerId): { readonly id: LayerId } & TarForm {
  const match =
    /^([0-9a-f]{32}|[0-9a-f]{24}o[0-9a-f]{32}|[a-z][0-9a-f]{64})(w?)(?:t(\d{1,12}))?$/.exec(id);
  if (!match || match[1] === id) return { id };
  const [, original, windows, clamp] = match;
  return {
    id: original as LayerId,
    ...(windows && { windows: true }),
    ...(clamp !== undefined && { clamp: Number(clamp) }),
  };
}

/** A pattern of SQLite for the ids that `originalOf` leads from to `id`, but `id` itself. */
export function othersOf(id: LayerId): string {
  return `${id}[tw]*`;
}

/**
 * The id of a new version of a step's layer `base`: 24 hex digits, the letter o, and the id of the
 * base. Its directory holds only what differs from the base (decision 064).
 */
export function versionId(base: LayerId): LayerId {
  return `${randomBytes(12).toString('hex')}o${base}` as LayerId;
}

/** The layer whose files a version of it shows, too. Undefined for any other layer. */
export function baseOf(id: LayerId): LayerId | undefined {
  if (id[24] !== 'o') return undefined;
  return /^[0-9a-f]{24}o([0-9a-f]{32})w?(?:t\d{1,12})?$/.exec(id)?.[1] as LayerId | undefined;
}

/** True for a layer of a step with a directory of its own, of which there may be versions. */
export function mayBeBase(id: LayerId): boolean {
  return /^[0-9a-f]{32}$/.test(id);
}

/** The layers whose directories make up a layer, bottom first: its base if any, and itself. */
export function ownersOf(id: LayerId): readonly LayerId[] {
  const { id: original } = originalOf(id);
  const base = baseOf(original);
  return base === undefined ? [original] : [base, original];
}

/**
 * True when the layer was unpacked from a blob. Its id is then a letter and a sha256 (see
 * README.md).
 */
export function isUnpacked(id: LayerId): boolean {
  return id.length > 64 && /^[a-z][0-9a-f]{64}w?$/.test(id);
}
