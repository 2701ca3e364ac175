import { KilnError, type Place, type SourcePlace, type SourceText } from '../base/errors.ts';
import type { SourceRange } from '../solver/llb/graph.ts';

/** The ways in which a Dockerfile can be wrong, with one code each. */
export type DockerfileCode = `KILN_DOCKERFILE_${
  | 'EMPTY'
  | 'NO_STAGE'
  | 'BEFORE_FROM'
  | 'UNKNOWN_INSTRUCTION'
  | 'UNKNOWN_FLAG'
  | 'FLAG'
  | 'SYNTAX'
  | 'JSON'
  | 'HEREDOC'
  | 'DIRECTIVE'
  | 'STAGE_NAME'
  | 'ONBUILD'
  | 'EXPANSION'
  | 'VARIABLE_REQUIRED'
  | 'TOO_COMPLEX'
  | 'CHECK'}`;

/** Whole lines, counted from 1, both included. */
export function linesOf(source: SourceText, start: number, end: number): SourceRange {
  return {
    source,
    start: { line: start, character: 0 },
    end: { line: Math.max(start, end), character: 0 },
  };
}

export function placeOf(range: SourceRange): SourcePlace {
  return {
    kind: 'source',
    source: range.source,
    start: { line: range.start.line, column: 0 },
    end: { line: range.end.line, column: 0 },
  };
}

export function problem(
  code: DockerfileCode,
  message: string,
  where: SourceRange | Place | undefined,
  hint?: string,
): KilnError {
  const place = where === undefined || 'kind' in where ? where : placeOf(where);
  return new KilnError(code, message, { place, hint });
}

/** The errors that BuildKit makes where it reads one instruction. It says the line in them. */
const WITH_LINE: ReadonlySet<string> = new Set<DockerfileCode>([
  'KILN_DOCKERFILE_UNKNOWN_INSTRUCTION',
  'KILN_DOCKERFILE_UNKNOWN_FLAG',
  'KILN_DOCKERFILE_FLAG',
  'KILN_DOCKERFILE_SYNTAX',
  'KILN_DOCKERFILE_JSON',
  'KILN_DOCKERFILE_HEREDOC',
  'KILN_DOCKERFILE_ONBUILD',
  'KILN_DOCKERFILE_STAGE_NAME',
]);
/** These it finds before, in the text of a line. */
const WITHOUT_LINE =
  /must have two arguments$|^Syntax error|^unterminated heredoc|^when using JSON array syntax/;

/** Sentences that BuildKit has in other words. Clients look for these. */
const IN_OTHER_WORDS: readonly (readonly [KilnError['code'], RegExp, string])[] = [
  ['KILN_ADD_GIT', /there are two refs, (\S+) and (\S+)$/, 'ref conflicts: "$1" vs "$2"'],
  [
    'KILN_GIT_CHECKSUM',
    /^.* is ([0-9a-f]{40}.*), expected (\S+)$/,
    'expected checksum to match $2, got $1',
  ],
  [
    'KILN_GIT_CHECKSUM',
    /^(".*") is not a commit$/,
    'invalid checksum $1 for Git source, expected hex commit hash',
  ],
  ['KILN_GIT_REF', /^.* has no ref (\S+)$/, 'repository does not contain ref $1'],
  [
    'KILN_STAGE_ORDER',
    /^stage (.*) comes after stage (.*), which copies from it$/,
    'cannot copy from stage "$1", it needs to be defined before current stage "$2"',
  ],
  ['KILN_RUN_MOUNT', /^.*: mount type (\S+) is not known/, 'unsupported mount type "$1"'],
  ['KILN_RUN_MOUNT', /^--mount=(.*): (\S+) is not known/, "unexpected key '$2' in '$1'"],
];

/** The sentence of an error in the words of BuildKit, for its clients and for documents. */
export function asBuildKitSays(error: KilnError): string {
  for (const [code, ours, theirs] of IN_OTHER_WORDS)
    if (code === error.code && ours.test(error.message))
      return withLine(error.message.replace(ours, theirs), error);
  return withLine(error.message, error);
}

function withLine(message: string, { code, place }: KilnError): string {
  if (place?.kind !== 'source' || !WITH_LINE.has(code) || WITHOUT_LINE.test(message))
    return message;
  return `dockerfile parse error on line ${place.start.line}: ${message}`;
}
