import type { KilnError } from '../../base/errors.ts';
import type { WarningEvent } from '../../base/progress.ts';
import { checkDockerfile, checkOptionsOf, isEnabled, orderWarnings, violation } from '../check/check.ts';
import type { CheckOptions } from '../check/options.ts';
import type { RuleName } from '../check/rules.ts';
import { toEvent, type Warning, warning } from '../check/warning.ts';
import type { FrontendRequest } from '../frontend.ts';
import type { Dockerfile } from '../instructions.ts';
import type { Warn } from './conversion.ts';

/** Checks that the lowering makes more exactly than the text alone can: a base may have a SHELL, a stage may not be needed. */
const OURS: ReadonlySet<RuleName> = new Set(['JSONArgsRecommended', 'WorkdirRelativePath', 'MultipleInstructionsDisallowed']);

/**
 * What the checks of one build find: those that the text alone answers, and what the lowering adds while it runs, for all platforms
 * together. May be asked at any time, also after a lowering that failed. Making one throws KILN_DOCKERFILE_CHECK for options that
 * make no sense.
 */
export class Findings {
  readonly #dockerfile: Dockerfile;
  readonly #options: CheckOptions;
  readonly #ignore: FrontendRequest['mainContext']['ignoreFile'];
  readonly #lowered: Warning[] = [];
  #inText: readonly Warning[] | undefined;

  constructor({ buildArgs, mainContext }: FrontendRequest, dockerfile: Dockerfile) {
    this.#dockerfile = dockerfile;
    this.#ignore = mainContext.ignoreFile;
    this.#options = checkOptionsOf(dockerfile, buildArgs.get('BUILDKIT_DOCKERFILE_CHECK'));
  }

  readonly warn: Warn = (rule, message, range) => {
    this.#lowered.push(warning(rule, message, range));
  };

  /** By line, without what the options skip. */
  warnings(): Warning[] {
    this.#inText ??= checkDockerfile(this.#dockerfile, this.#options, this.#ignore).filter(({ rule }) => !OURS.has(rule.name));
    return orderWarnings([...this.#inText, ...this.#lowered.filter(({ rule }) => isEnabled(rule, this.#options))]);
  }

  events(): WarningEvent[] {
    return this.warnings().map(toEvent);
  }

  /** The error that the findings are, when the file asks for that. */
  violation(): KilnError | undefined {
    return violation(this.warnings(), this.#options);
  }
}
