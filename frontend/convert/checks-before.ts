import type { KilnError } from '../../base/errors.ts';
import type { Warning } from '../check/warning.ts';
import type { FrontendRequest } from '../frontend.ts';
import { parseDockerfile } from '../parse.ts';
import { Findings } from './checks.ts';

/** The findings in the lines above a syntax error. */
export function warningsBefore({ place }: KilnError, request: FrontendRequest): Warning[] {
  const { dockerfile: source } = request;
  if (place?.kind !== 'source' || place.source.name !== source.name) return [];
  const above = source.text.split('\n').slice(0, place.start.line - 1);
  try {
    const findings = new Findings(request, parseDockerfile({ ...source, text: above.join('\n') }));
    return findings.warningsOfParsing().map((one) => ({ ...one, range: { ...one.range, source } }));
  } catch {
    // These lines hold no stage yet.
    return [];
  }
}
