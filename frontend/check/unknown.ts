import { KilnError, type SourceText } from '../../base/errors.ts';
import type { WarningEvent } from '../../base/progress.ts';
import { didYouMean } from '../../base/suggest.ts';
import { linesOf } from '../problem.ts';
import { directiveOf } from '../syntax.ts';
import { type CheckOptions, parseCheckOptions } from './check-options.ts';
import { RULES } from './rules.ts';

/**
 * Warns of rules that `# check=` or `override` (BUILDKIT_DOCKERFILE_CHECK) names and that do not
 * exist, because naming them has no effect.
 */
export function unknownRules(
  source: SourceText,
  override: string | undefined,
): readonly WarningEvent[] {
  const line = override === undefined ? directiveOf(source.text, 'check') : undefined;
  const value = override ?? line?.value;
  if (value === undefined) return [];
  const number = line?.number ?? 1;
  const names = Object.keys(RULES);
  const unknown = namesIn(optionsOf(value, source, number)).filter(
    (name) => name !== '' && !names.includes(name),
  );
  return unknown.map((name) => ({
    kind: 'warning',
    short:
      `there is no check named ${JSON.stringify(name)}${didYouMean(name, names)}: ` +
      'naming it has no effect',
    detail: [],
    ...(line && {
      source: { name: source.name, text: source.text, startLine: number, endLine: number },
    }),
  }));
}

/** Invalid options are reported where the options are used. */
function optionsOf(value: string, source: SourceText, number: number): CheckOptions | undefined {
  try {
    return parseCheckOptions({ value, range: linesOf(source, number, number) });
  } catch (error) {
    if (error instanceof KilnError) return undefined;
    throw error;
  }
}

function namesIn(options: CheckOptions | undefined): string[] {
  const lists = options ? [options.skip, options.experimental] : [];
  return lists.flatMap((list) => (list === 'all' ? [] : [...list]));
}
