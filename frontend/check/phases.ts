import type { RuleName } from './rules.ts';
import type { Warning } from './warning.ts';

/**
 * # The order of findings
 *
 * BuildKit lists findings in the order in which its frontend makes them, and stops where an error
 * stops it. Kiln uses the same order, because tools keep the answers as golden files.
 */
const PARSER = 0;
const INSTRUCTIONS = 1;
const STAGE_NAMES = 2;
const CASING = 3;
const DEFAULTS = 4;
const FROMS = 5;
const BASES = 6;
/**
 * Findings that the lowering of a stage makes, instruction by instruction. Kiln's own rules also
 * have findings from the text here.
 */
const STEPS = 7;
/** Findings that are not about the Dockerfile. */
const REST = 8;

const PHASES: { readonly [name in RuleName]?: number } = {
  NoEmptyContinuation: PARSER,
  InvalidDefinitionDescription: INSTRUCTIONS,
  StageNameCasing: INSTRUCTIONS,
  FromAsCasing: INSTRUCTIONS,
  MaintainerDeprecated: INSTRUCTIONS,
  ReservedStageName: STAGE_NAMES,
  DuplicateStageName: STAGE_NAMES,
  ConsistentInstructionCasing: CASING,
  InvalidDefaultArgInFrom: DEFAULTS,
  UndefinedArgInFrom: FROMS,
  RedundantTargetPlatform: FROMS,
  FromPlatformFlagConstDisallowed: FROMS,
  InvalidBaseImagePlatform: BASES,
  SuspiciousIgnorePattern: REST,
};
/** The order of findings of one phase and line. */
const ORDER = Object.keys(PHASES);

function phaseOf({ rule }: Warning): number {
  return PHASES[rule.name] ?? STEPS;
}

/**
 * True for a finding that is made while the text is parsed. A later syntax error does not remove
 * it.
 */
export function isFromParsing(warning: Warning): boolean {
  return phaseOf(warning) <= INSTRUCTIONS;
}

/** True for a finding that is made only for a stage that is lowered, at its instruction. */
export function isFromLowering(warning: Warning): boolean {
  return phaseOf(warning) === STEPS;
}

/** Sorts findings from the text in BuildKit's order. Those of the lowering keep their order. */
export function inOrder(warnings: readonly Warning[]): Warning[] {
  return [...warnings].sort((a, b) => {
    const phase = phaseOf(a) - phaseOf(b);
    if (phase !== 0 || phaseOf(a) > CASING) return phase;
    return (
      a.range.start.line - b.range.start.line ||
      ORDER.indexOf(a.rule.name) - ORDER.indexOf(b.rule.name)
    );
  });
}
