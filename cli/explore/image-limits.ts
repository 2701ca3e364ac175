import { KilnError } from '../../base/errors.ts';
import { bytes } from '../../base/units.ts';
import type { ImageContents } from '../../images/contents/contents.ts';
import { parseBytes } from '../arguments.ts';
import { flagError } from '../flag-error.ts';

/** Limits that an image must keep. */
export interface ImageLimits {
  readonly maxWasted?: WastedLimit | undefined;
  /** From 0 to 1. */
  readonly minEfficiency?: number | undefined;
}

type WastedLimit = { readonly bytes: number } | { readonly share: number };

/** How an image stands to a limit. */
export interface LimitResult {
  readonly limit: '--max-wasted' | '--min-efficiency';
  /** The limit as it was given, and what the image has, in words. */
  readonly wanted: string;
  readonly found: string;
  readonly isKept: boolean;
}

/** Parses `5%`, `10MB` or `0`. Throws KILN_FLAG_VALUE. */
export function parseMaxWasted(text: string): WastedLimit {
  const percent = /^(\d+(?:\.\d+)?|\.\d+)\s*%$/.exec(text.trim());
  return percent
    ? { share: Number(percent[1]) / 100 }
    : { bytes: parseBytes(text, '--max-wasted') };
}

/** Parses `0.95` or `95%`. Throws KILN_FLAG_VALUE. */
export function parseMinEfficiency(text: string): number {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*(%?)$/.exec(text.trim());
  const value = Number(match?.[1]) / (match?.[2] === '%' ? 100 : 1);
  if (value >= 0 && value <= 1) return value;
  throw flagError(
    '--min-efficiency',
    `${JSON.stringify(text)} is not a share of the image`,
    'write it like 0.95 or 95%',
  );
}

/** Compares an image with each limit that is given. */
export function checkLimits(
  { wasted, efficiency }: Pick<ImageContents, 'wasted' | 'efficiency'>,
  { maxWasted, minEfficiency }: ImageLimits,
): LimitResult[] {
  const results: LimitResult[] = [];
  if (maxWasted !== undefined)
    results.push(
      'share' in maxWasted
        ? {
            limit: '--max-wasted',
            wanted: percent(maxWasted.share),
            found: percent(wasted.share),
            isKept: wasted.share <= maxWasted.share,
          }
        : {
            limit: '--max-wasted',
            wanted: bytes(maxWasted.bytes),
            found: bytes(wasted.bytes),
            isKept: wasted.bytes <= maxWasted.bytes,
          },
    );
  if (minEfficiency !== undefined)
    results.push({
      limit: '--min-efficiency',
      wanted: percent(minEfficiency),
      found: percent(efficiency),
      isKept: efficiency >= minEfficiency,
    });
  return results;
}

/** Throws KILN_IMAGE_LIMIT when a limit is not kept. */
export function requireLimits(results: readonly LimitResult[]): void {
  const broken = results.filter(({ isKept }) => !isKept);
  if (broken.length === 0) return;
  const sentences = broken.map(({ limit, wanted, found }) =>
    limit === '--max-wasted'
      ? `${found} of ${base(found)} is wasted, more than ${wanted}`
      : `the efficiency of the image is ${found}, less than ${wanted}`,
  );
  throw new KilnError('KILN_IMAGE_LIMIT', sentences.join(', and '), {
    place: { kind: 'flag', flag: broken[0]!.limit },
    hint: 'remove files in the step that makes them; the report names those that waste most',
  });
}

/** What a share is a part of, as dive measures it. */
function base(found: string): string {
  return found.endsWith('%') ? 'what is above the first layer' : 'the image';
}

/** A share as text, such as `97.25 %`. Rounded so that no limit seems to be kept that is not. */
export function percent(share: number): string {
  return `${Number((share * 100).toPrecision(6))} %`;
}
