import { KilnError } from '../base/errors.ts';
import { linearRegExp } from '../base/linear-regexp.ts';
import { familiarName, parseReference } from '../base/reference.ts';
import { parseDuration } from '../cache/gc/filter.ts';
import { findImage, isUntagged } from '../images/find-image.ts';
import type { ImageStore, StoredImage } from '../snapshotter/images.ts';

export type ImageFilter = (image: StoredImage) => boolean;

/** What filters ask about images. */
export interface ImageFacts {
  readonly images: ImageStore;
  /** The labels of an image. It reads documents. */
  readonly labels: (image: StoredImage) => Readonly<Record<string, string>>;
  /** In milliseconds since 1970. */
  readonly now: number;
}

const KEYS = 'dangling, reference, label, before, since and until';

/**
 * Parses the values of `--filter` of `kiln images` and `kiln image prune`, which are docker's. Of
 * several values of `reference` one must match, and all of the others. `only` are the keys that are
 * allowed. Throws KILN_FILTER_INVALID and KILN_IMAGE_NOT_FOUND.
 */
export function imageFilter(
  values: readonly string[],
  facts: ImageFacts,
  only?: readonly string[],
): ImageFilter {
  const references: string[] = [];
  const filters: ImageFilter[] = [];
  for (const value of values) {
    const [, key = '', text = ''] = /^([a-z]+!?)=(.*)$/.exec(value) ?? [];
    if (only && !only.includes(key)) throw invalid(value, `the filters are ${only.join(', ')}`);
    if (key === 'reference') references.push(text);
    else filters.push(filterOf(key, text, value, facts));
  }
  if (references.length > 0)
    filters.push((image) => references.some((pattern) => matches(image, pattern)));
  return (image) => filters.every((filter) => filter(image));
}

function filterOf(key: string, text: string, value: string, facts: ImageFacts): ImageFilter {
  switch (key) {
    case 'dangling': {
      const wanted = /^(?:true|1)$/.test(text);
      if (!wanted && !/^(?:false|0)$/.test(text))
        throw invalid(value, 'write dangling=true or dangling=false');
      return ({ name }) => isUntagged(name) === wanted;
    }
    case 'label':
    case 'label!': {
      const [name = '', ...rest] = text.split('=');
      const wanted = rest.length > 0 ? rest.join('=') : undefined;
      const has: ImageFilter = (image) => {
        const labels = facts.labels(image);
        return Object.hasOwn(labels, name) && (wanted ?? labels[name]) === labels[name];
      };
      return key === 'label' ? has : (image) => !has(image);
    }
    case 'before':
    case 'since': {
      const { created } = findImage(facts.images, text);
      return key === 'before' ? (one) => one.created < created : (one) => one.created > created;
    }
    case 'until': {
      const last = momentOf(text, facts.now);
      return ({ created }) => created <= last;
    }
    default:
      throw invalid(value, `the filters are ${KEYS}`);
  }
}

/** The pattern is for the name with or without its tag, as the user writes them. */
/** `text` is a duration before `now`, or a date such as `2026-12-01T10:00:00Z`. */
function momentOf(text: string, now: number): number {
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? now - parseDuration(text, '--filter') : date;
}

function matches({ name }: StoredImage, pattern: string): boolean {
  if (isUntagged(name)) return false;
  const { domain, path, tag = 'latest' } = parseReference(name);
  const glob = globOf(pattern);
  const repository = familiarName({ domain, path });
  return [repository, `${repository}:${tag}`].some((one) => glob.test(one));
}

/** `*` and `?` stand for characters other than `/`. */
function globOf(pattern: string): Pick<RegExp, 'test'> {
  const quoted = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return linearRegExp(`^${quoted.replaceAll('*', '[^/]*').replaceAll('?', '[^/]')}$`);
}

function invalid(text: string, hint: string): KilnError {
  return new KilnError('KILN_FILTER_INVALID', `${JSON.stringify(text)} is not a valid filter`, {
    hint,
    exitCode: 2,
  });
}
