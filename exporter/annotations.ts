import { KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import { samePlatform } from '../base/platformmatch.ts';
import { parsePlatformForHost } from '../registry/platforms.ts';

/** The target of an annotation, in BuildKit's words (docs/annotations.md). */
export type AnnotationTarget = (typeof ANNOTATION_TARGETS)[number];

export const ANNOTATION_TARGETS = [
  'manifest',
  'manifest-descriptor',
  'index',
  'index-descriptor',
] as const;

export interface Annotation {
  readonly target: AnnotationTarget;
  /** The only platform that is annotated. When absent, all platforms are. */
  readonly platform?: Platform | undefined;
  readonly key: string;
  readonly value: string;
}

/**
 * Parses `annotation.KEY`, `annotation-TARGET.KEY` and `annotation-TARGET[PLATFORM].KEY`. Undefined
 * when `name` is not an annotation.
 */
export function parseAnnotation(name: string, value: string): Annotation | undefined {
  const match = /^annotation(?:-([a-z-]+))?(?:\[([^\]]+)\])?\.(.+)$/s.exec(name);
  if (!match) return undefined;
  const target = match[1] ?? 'manifest';
  if (
    target !== 'manifest' &&
    target !== 'manifest-descriptor' &&
    target !== 'index' &&
    target !== 'index-descriptor'
  ) {
    throw new KilnError(
      'KILN_OUTPUT_INVALID',
      `an annotation cannot be put on ${JSON.stringify(target)}`,
      {
        place: { kind: 'flag', flag: '--output' },
        hint: 'use manifest, manifest-descriptor, index or index-descriptor',
        exitCode: 2,
      },
    );
  }
  return {
    target,
    platform: match[2] === undefined ? undefined : platformOf(match[2]),
    key: match[3] as string,
    value,
  };
}

function platformOf(text: string): Platform {
  try {
    return parsePlatformForHost(text);
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    const { code, message, hint } = error;
    const place = { kind: 'flag', flag: '--annotation' } as const;
    throw new KilnError(code, message, { place, hint, exitCode: 2 });
  }
}

/**
 * The annotations for one target and platform. Those for this platform replace those for all
 * platforms.
 */
export function annotationsFor(
  annotations: readonly Annotation[],
  target: AnnotationTarget,
  platform?: Platform,
): Record<string, string> {
  const mine = annotations.filter((annotation) => annotation.target === target);
  const general = mine.filter((annotation) => !annotation.platform);
  const special = mine.filter(
    (annotation) => annotation.platform && platform && samePlatform(annotation.platform, platform),
  );
  return Object.fromEntries([...general, ...special].map(({ key, value }) => [key, value]));
}
