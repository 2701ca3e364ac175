import type { SourceText } from '../base/errors.ts';
import { didYouMean, nearest } from '../base/suggest.ts';
import { isJsonArray } from './command.ts';
import { heredocsIn } from './heredoc.ts';
import type {
  ArgInstruction,
  Dockerfile,
  FromInstruction,
  Instruction,
  ParserNote,
  Stage,
  StageInstruction,
} from './instructions.ts';
import { LineReader, type LogicalLine } from './lines.ts';
import { linesOf, problem } from './problem.ts';
import { READERS, stageComment } from './readers.ts';
import type { Reading } from './reading.ts';
import { splitStatement } from './tokens.ts';

/**
 * # From text to typed instructions
 *
 * Reads a whole Dockerfile. For the first mistake from the top it throws a KilnError with a
 * KILN_DOCKERFILE_* code, the place and a hint. It throws nothing else, whatever the text. Its time
 * is linear in the text.
 */
export function parseDockerfile(source: SourceText): Dockerfile {
  if (source.text === '')
    throw problem(
      'KILN_DOCKERFILE_EMPTY',
      'the Dockerfile cannot be empty',
      linesOf(source, 1, 1),
      HOW_TO_BEGIN,
    );
  const reader = new LineReader(source);
  const globalArgs: ArgInstruction[] = [];
  const stages: { from: FromInstruction; instructions: StageInstruction[]; docComment: string }[] =
    [];
  const notes: ParserNote[] = [];
  for (let line = reader.next(); line; line = reader.next()) {
    if (line.emptyContinuation)
      notes.push({
        kind: 'empty-continuation',
        range: linesOf(source, line.endLine, line.endLine),
      });
    const instruction = readInstruction(reader, line);
    const stage = stages.at(-1);
    if (instruction.kind === 'from') {
      stages.push({
        from: instruction,
        instructions: [],
        docComment: stageComment(instruction.docComment, instruction.name),
      });
    } else if (stage) stage.instructions.push(instruction);
    else if (instruction.kind === 'arg') globalArgs.push(instruction);
    else {
      const message =
        'no build stage in current context: ' +
        `${instruction.keyword.toUpperCase()} stands before FROM`;
      throw problem(
        'KILN_DOCKERFILE_BEFORE_FROM',
        message,
        instruction.range,
        'begin with FROM image; only ARG may come before it',
      );
    }
  }
  checkNotBare(reader, stages, globalArgs);
  return {
    source,
    escape: reader.escape,
    directives: reader.directives,
    globalArgs,
    stages,
    notes,
  };
}

const HOW_TO_BEGIN = 'write FROM image (or FROM scratch) as the first instruction';

function checkNotBare(
  reader: LineReader,
  stages: readonly Stage[],
  globalArgs: readonly ArgInstruction[],
): void {
  if (stages.length > 0) return;
  const range = linesOf(reader.source, 1, Math.max(1, reader.line));
  if (globalArgs.length === 0)
    throw problem('KILN_DOCKERFILE_EMPTY', 'file with no instructions', range, HOW_TO_BEGIN);
  throw problem(
    'KILN_DOCKERFILE_NO_STAGE',
    'dockerfile contains no stages to build',
    range,
    HOW_TO_BEGIN,
  );
}

/**
 * Reads a single instruction, heredocs included: an ONBUILD trigger from an image's config. `name`
 * is the name of the text in errors. FROM, MAINTAINER and ONBUILD cannot be triggers. The escape
 * character is `\`, whatever the Dockerfile's was.
 */
export function parseInstruction(text: string, name = 'ONBUILD'): StageInstruction {
  const source: SourceText = { name, text };
  const reader = new LineReader(source);
  const line = reader.next();
  const instruction = line && readInstruction(reader, line);
  if (!instruction || reader.next()) {
    throw problem(
      'KILN_DOCKERFILE_ONBUILD',
      'onbuild trigger should be a single expression',
      linesOf(source, 1, Math.max(1, reader.line)),
    );
  }
  if (
    instruction.kind === 'from' ||
    instruction.kind === 'onbuild' ||
    instruction.kind === 'maintainer'
  ) {
    const message = `${instruction.keyword.toUpperCase()} isn't allowed as an ONBUILD trigger`;
    throw problem('KILN_DOCKERFILE_ONBUILD', message, instruction.range);
  }
  return instruction;
}

/** The names of the instructions, for suggestions. */
const KEYWORDS = Object.keys(READERS).map((kind) => kind.toUpperCase());

function readInstruction(reader: LineReader, line: LogicalLine): Instruction {
  const statement = splitStatement(line.text, reader.escape);
  const kind = statement.keyword.toLowerCase();
  if (!isKind(kind)) throw unknownInstruction(statement.keyword, line);
  const heads = takesHeredocs(kind, statement.body, reader.escape) ? heredocsIn(line.text) : [];
  const heredocs = reader.readHeredocs(heads, line.startLine);
  const last = heads.length > 0 ? reader.line : line.endLine;
  const reading: Reading = {
    line,
    statement,
    escape: reader.escape,
    heredocs,
    range: linesOf(reader.source, line.startLine, last),
  };
  return READERS[kind](reading);
}

function isKind(kind: string): kind is Instruction['kind'] {
  return Object.hasOwn(READERS, kind);
}

/** True for RUN, COPY and ADD, alone or after ONBUILD, unless their arguments are JSON. */
function takesHeredocs(kind: string, body: string, escapeChar: '\\' | '`'): boolean {
  if (!body.includes('<<')) return false;
  if (kind === 'onbuild') {
    const trigger = splitStatement(body, escapeChar);
    const inner = trigger.keyword.toLowerCase();
    return inner !== 'onbuild' && takesHeredocs(inner, trigger.body, escapeChar);
  }
  return (kind === 'run' || kind === 'copy' || kind === 'add') && !isJsonArray(body);
}

function unknownInstruction(keyword: string, line: LogicalLine) {
  const end = line.text.length - line.text.trimStart().length + keyword.length;
  const near = nearest(keyword, KEYWORDS);
  const message = `unknown instruction: ${clip(keyword)}${didYouMean(keyword, KEYWORDS)}`;
  const hint = near
    ? `write ${near}`
    : 'if this line belongs to the one above, end that one with the escape character';
  return problem(
    'KILN_DOCKERFILE_UNKNOWN_INSTRUCTION',
    message,
    line.placeOf(end - keyword.length, end),
    hint,
  );
}

/** Shortens a name for an error message. */
function clip(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
