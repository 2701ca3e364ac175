import type { WarningEvent } from '../../base/progress.ts';
import { checkDockerfile, checkOptionsOf, isEnabled, orderWarnings, violation } from '../check/check.ts';
import type { RuleName } from '../check/rules.ts';
import { type Warning, warning } from '../check/warning.ts';
import type { FrontendRequest } from '../frontend.ts';
import type { Dockerfile } from '../instructions.ts';
import type { Warn } from './conversion.ts';

/** Checks that the lowering makes more exactly than the text alone can: a base may have a SHELL, a stage may not be needed. */
const OURS: ReadonlySet<RuleName> = new Set(['JSONArgsRecommended', 'WorkdirRelativePath', 'MultipleInstructionsDisallowed']);

/** Gathers what the lowering finds, for all platforms together. */
export class Findings {
  private readonly found: Warning[] = [];

  readonly warn: Warn = (rule, message, range) => {
    this.found.push(warning(rule, message, range));
  };

  /** Everything to tell, with what the text alone shows. Throws KILN_DOCKERFILE_CHECK when the file asks for errors. */
  finish({ buildArgs }: FrontendRequest, dockerfile: Dockerfile): WarningEvent[] {
    const options = checkOptionsOf(dockerfile, buildArgs.get('BUILDKIT_DOCKERFILE_CHECK'));
    const inText = checkDockerfile(dockerfile, options).filter(({ rule }) => !OURS.has(rule.name));
    const warnings = orderWarnings([...inText, ...this.found.filter(({ rule }) => isEnabled(rule, options))]);
    const error = violation(warnings, options);
    if (error) throw error;
    return warnings.map(toEvent);
  }
}

/** A warning as buildx shows it. */
function toEvent({ rule, message, range }: Warning): WarningEvent {
  const { source, start, end } = range;
  return {
    kind: 'warning',
    short: `${rule.name}: ${message} (line ${start.line})`,
    detail: [rule.description],
    url: rule.url,
    source: { name: source.name, text: source.text, startLine: start.line, endLine: end.line },
  };
}
