import { KilnError } from '../../base/errors.ts';
import type { CACHE_SHARING, MountTypeName } from '../../solver/llb/mount.ts';

/** The fields that only some types of mounts take. Undefined when they are not given. */
export interface SpecialFields {
  sharing: keyof typeof CACHE_SHARING | undefined;
  required: boolean | undefined;
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
  size: number | undefined;
  env: string | undefined;
}

/** One `--mount` flag with its values expanded. */
export interface ParsedMount extends SpecialFields {
  /** The flag as it was written. */
  readonly raw: string;
  type: MountTypeName;
  from: string;
  source: string;
  target: string;
  readonly: boolean | undefined;
  id: string;
}

export function mountError(spec: { readonly raw: string }, what: string, hint?: string): KilnError {
  return new KilnError('KILN_RUN_MOUNT', `--mount=${spec.raw}: ${what}`, { hint });
}
