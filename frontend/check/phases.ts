import type { RuleName } from './rules.ts';
import type { Warning } from './warning.ts';

/**
 * # When a finding is made
 *
 * BuildKit lists findings in the order in which its frontend meets them, and stops where an error
 * stops it. Kiln's answers are in the same order: tools keep them as golden files.
 */
const PARSER = 0;
const INSTRUCTIONS = 1;
const STAGE_NAMES = 2;
const CASING = 3;
const DEFAULTS = 4;
const FROMS = 5;
const BASES = 6;
/**
 * What the lowering of a stage finds, instruction by instruction; of Kiln's own rules also what the
 * text shows.
 */
const STEPS = 7;
/** What is not about the Dockerfile. */
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
/** Of one phase and line, in this order. */
const ORDER = Object.keys(PHASES);

function phaseOf({ rule }: Warning): number {
  return PHASES[rule.name] ?? STEPS;
}

/** Made while the text is parsed: an error of the syntax further down does not take them back. */
export function isFromParsing(warning: Warning): boolean {
  return phaseOf(warning) <= INSTRUCTIONS;
}

/** Made only for a stage that is lowered, at its instruction. */
export function isFromLowering(warning: Warning): boolean {
  return phaseOf(warning) === STEPS;
}

/**
 * Those of the text in BuildKit's order. Findings of the lowering keep the order that they come in.
 */
export function inOrder(warnings: readonly Warning[]): Warning[] {
  return [...warnings].sort((a, b) => {
    const phase = phaseOf(a) - phaseOf(b);
    if (phase !== 0 || phaseOf(a) > CASING) return phase;
    return a.range.start.line - b.range.start.line || ORDER.indexOf(a.rule.name) - ORDER.indexOf(b.rule.name);
  });
}
