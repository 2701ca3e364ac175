import { KilnError } from '../../base/errors.ts';
import { ANNOTATION_TARGETS } from '../../exporter/annotations.ts';

const TARGET = /^[a-z-]+(?:\[[A-Za-z0-9_/.-]+\])?$/;

/**
 * Converts the values of `--annotation` to attributes of an output, as buildx does. The form is
 * `[TARGETS:]KEY=VALUE`. A target is `manifest`, `index`, `manifest-descriptor` or
 * `index-descriptor`, followed by `[linux/arm64]` when it is for one platform only. Commas separate
 * targets. Throws KILN_ANNOTATION_INVALID.
 */
export function annotationAttributes(texts: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    texts.flatMap((text) => {
      const equals = text.indexOf('=');
      if (equals <= 0) throw wrong(text, 'it has no value', 'write KEY=VALUE, or index:KEY=VALUE');
      const [name, value] = [text.slice(0, equals), text.slice(equals + 1)];
      const { targets, key } = split(name);
      if (key === '' || /\s/.test(key))
        throw wrong(text, 'its key is empty or contains blanks', 'write KEY=VALUE');
      const unknown = targets.map((target) => target.replace(/\[.*/, '')).find(isUnknown);
      if (unknown !== undefined)
        throw wrong(
          text,
          `there is no target ${JSON.stringify(unknown)}`,
          `the targets are ${ANNOTATION_TARGETS.join(', ')}`,
        );
      return targets.map((target): [string, string] => [
        `${target === '' ? 'annotation' : `annotation-${target}`}.${key}`,
        value,
      ]);
    }),
  );
}

function isUnknown(target: string): boolean {
  return target !== '' && !(ANNOTATION_TARGETS as readonly string[]).includes(target);
}

/** Splits off the targets. A colon belongs to the key when the text before it is not targets. */
function split(name: string): { readonly targets: readonly string[]; readonly key: string } {
  const colon = name.indexOf(':');
  const targets = colon < 0 ? [] : name.slice(0, colon).split(',');
  const areTargets = targets.length > 0 && targets.every((target) => TARGET.test(target));
  return areTargets ? { targets, key: name.slice(colon + 1) } : { targets: [''], key: name };
}

function wrong(text: string, why: string, hint: string): KilnError {
  return new KilnError(
    'KILN_ANNOTATION_INVALID',
    `the annotation ${JSON.stringify(text)} is not valid: ${why}`,
    {
      place: { kind: 'flag', flag: '--annotation' },
      hint,
      exitCode: 2,
    },
  );
}
