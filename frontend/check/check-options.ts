import type { KilnError } from '../../base/errors.ts';
import { parseBool } from '../convert/goformat.ts';
import { quote, trimSpace } from '../gotext.ts';
import type { Directive } from '../instructions.ts';
import { problem } from '../problem.ts';

/** The options of `# check=…` or the build argument BUILDKIT_DOCKERFILE_CHECK. */
export interface CheckOptions {
  readonly skip: ReadonlySet<string> | 'all';
  readonly experimental: ReadonlySet<string> | 'all';
  /** True when a violation fails the build. */
  readonly error: boolean;
  /** Whose rules apply without being named: BuildKit's alone, or Kiln's as well. */
  readonly only?: 'buildkit' | undefined;
}

export const DEFAULT_OPTIONS: CheckOptions = {
  skip: new Set(),
  experimental: new Set(),
  error: false,
};

/**
 * Reads `skip=A,B;error=true;experimental=all`. Throws KILN_DOCKERFILE_CHECK. As in Docker, the
 * text ends at the first space.
 */
export function parseCheckOptions(directive: Directive): CheckOptions {
  const options = { ...DEFAULT_OPTIONS };
  const [text = ''] = directive.value.split(' ');
  for (const part of splitAtMost(trimSpace(text), ';', 3)) {
    if (part === '' && text === '') continue;
    const at = part.indexOf('=');
    const key = trimSpace(at < 0 ? part : part.slice(0, at));
    const value = trimSpace(at < 0 ? '' : part.slice(at + 1));
    if (at >= 0 && (key === 'skip' || key === 'experimental'))
      options[key] = value === 'all' ? 'all' : new Set(value.split(',').map(trimSpace));
    else if (at >= 0 && key === 'error') options.error = truthOf(value, part, directive);
    else throw invalid(`invalid check option ${quote(at < 0 ? part : key)}`, directive);
  }
  return options;
}

/** Splits into at most `count` parts. The last part keeps the rest of the text. */
function splitAtMost(text: string, separator: string, count: number): string[] {
  const parts = text.split(separator);
  return [
    ...parts.slice(0, count - 1),
    ...(parts.length >= count ? [parts.slice(count - 1).join(separator)] : []),
  ];
}

function truthOf(value: string, part: string, directive: Directive): boolean {
  const found = parseBool(value);
  if (found !== undefined) return found;
  throw invalid(
    `failed to parse check option ${quote(part)}: parsing ${quote(value)}: invalid syntax`,
    directive,
  );
}

function invalid(why: string, directive: Directive): KilnError {
  const hint = 'write # check=skip=Rule,Rule;error=true';
  return problem(
    'KILN_DOCKERFILE_CHECK',
    `failed to parse check options: ${why}`,
    directive.range,
    hint,
  );
}
