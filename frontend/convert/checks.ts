import type { KilnError } from '../../base/errors.ts';
import type { WarningEvent } from '../../base/progress.ts';
import type { SourceRange } from '../../solver/llb/graph.ts';
import {
  Collector,
  checkDockerfile,
  checkOptionsOf,
  isEnabled,
  violation,
} from '../check/check.ts';
import type { CheckOptions } from '../check/check-options.ts';
import { InlineOptions } from '../check/inline-options.ts';
import { inOrder, isFromLowering, isFromParsing } from '../check/phases.ts';
import { RULES, type RuleName } from '../check/rules.ts';
import { toEvent, type Warning, warning } from '../check/warning.ts';
import type { FrontendRequest } from '../frontend.ts';
import type { Dockerfile } from '../instructions.ts';
import type { Warn } from './warn.ts';

/**
 * Rules that the lowering checks more exactly than the text alone allows: a base may have a SHELL,
 * a stage may not be needed.
 */
const CHECKED_HERE: ReadonlySet<RuleName> = new Set([
  'JSONArgsRecommended',
  'WorkdirRelativePath',
  'MultipleInstructionsDisallowed',
]);

/**
 * The findings of one build: those from the text alone, and those that the lowering adds while it
 * runs, for all platforms together. They may be read at any time, even after a failed lowering. The
 * constructor throws KILN_DOCKERFILE_CHECK for invalid options.
 */
export class Findings {
  readonly #dockerfile: Dockerfile;
  readonly #options: CheckOptions;
  readonly #inline: InlineOptions;
  /** True when a named context is unknown. */
  readonly #isBaseUnknown: boolean;
  readonly #ignore: FrontendRequest['mainContext']['ignoreFile'];
  readonly #lowered: Warning[] = [];
  readonly #collector = new Collector();
  #inText: FromText | undefined;

  constructor(
    { buildArgs, mainContext, checks, namedContexts }: FrontendRequest,
    dockerfile: Dockerfile,
  ) {
    this.#dockerfile = dockerfile;
    this.#ignore = mainContext.ignoreFile;
    this.#options = {
      ...checkOptionsOf(dockerfile, buildArgs.get('BUILDKIT_DOCKERFILE_CHECK')),
      only: checks === 'buildkit' ? checks : undefined,
    };
    this.#inline = new InlineOptions(dockerfile, this.#options);
    this.#isBaseUnknown = [...namedContexts.values()].some(({ kind }) => kind === 'unknown');
  }

  readonly warn: Warn = (name, message, range, by = range) => {
    // The variable may be one of the base.
    if (name === 'UndefinedVar' && this.#isBaseUnknown) return;
    const rule = RULES[name];
    if (this.#collector.isFull(rule) || !isEnabled(rule, this.#inline.at(rule, by))) return;
    this.#add(warning(name, typeof message === 'string' ? message : message(), range));
  };

  /**
   * Called when the lowering has passed an instruction, so that the findings from its text count.
   * Stages that are not needed are not checked.
   */
  readonly reached = (range: SourceRange): void => {
    for (const one of this.#fromText().lowering.get(range.start.line) ?? []) this.#add(one);
  };

  /** The warnings in BuildKit's order, without skipped rules. */
  warnings(): Warning[] {
    return new Collector().takeAll(inOrder([...this.#fromText().always, ...this.#lowered]));
  }

  /** The warnings that were found before a syntax error ended the parsing. */
  warningsOfParsing(): Warning[] {
    return this.#fromText().always.filter(isFromParsing);
  }

  events(): WarningEvent[] {
    return this.warnings().map(toEvent);
  }

  /** The error for the findings, when the file asks for one. */
  violation(): KilnError | undefined {
    return violation(this.warnings(), this.#options);
  }

  #add(found: Warning): void {
    const shown = this.#collector.take(found);
    if (shown) this.#lowered.push(shown);
  }

  #fromText(): FromText {
    if (this.#inText) return this.#inText;
    const all = checkDockerfile(this.#dockerfile, this.#options, this.#ignore, this.#inline);
    const found = all.filter(({ rule }) => !CHECKED_HERE.has(rule.name));
    const firstStage = this.#dockerfile.stages[0]?.from.range.start.line ?? 0;
    // Lines before the first FROM belong to no stage.
    const isOfStage = (one: Warning) => isFromLowering(one) && one.range.start.line >= firstStage;
    const lowering = Map.groupBy(found.filter(isOfStage), ({ range }) => range.start.line);
    return (this.#inText = { always: found.filter((one) => !isOfStage(one)), lowering });
  }
}

/**
 * Findings from the text alone: those about the file, and those about each instruction that may be
 * lowered, by its first line.
 */
interface FromText {
  readonly always: readonly Warning[];
  readonly lowering: ReadonlyMap<number, readonly Warning[]>;
}
