import { type IgnoreFile, suspiciousPatterns } from '../ignore.ts';
import { linesOf } from '../problem.ts';
import { type Warning, warning } from './warning.ts';

/** Lines of `.dockerignore` that ignore nothing, or other files than they seem to. */
export function ignoreFileCheck(file: IgnoreFile): Warning[] {
  return suspiciousPatterns(file).map(({ pattern, why }) =>
    warning(
      'SuspiciousIgnorePattern',
      `Pattern "${pattern.text}" of ${file.source.name}: ${why}`,
      linesOf(file.source, pattern.line, pattern.line),
    ),
  );
}
