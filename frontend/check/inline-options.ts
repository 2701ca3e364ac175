import type { SourceRange } from '../../solver/llb/graph.ts';
import type { Dockerfile, Instruction } from '../instructions.ts';
import { type CheckOptions, parseCheckOptions } from './check-options.ts';
import type { Rule, RuleName } from './rules.ts';

/**
 * Rules about the whole file, or about what is known before an instruction is looked at. They
 * follow the options of the file alone, as in BuildKit.
 */
const OF_THE_FILE: ReadonlySet<RuleName> = new Set([
  'ConsistentInstructionCasing',
  'DuplicateStageName',
  'ReservedStageName',
  'InvalidDefaultArgInFrom',
  'NoEmptyContinuation',
  'InvalidBaseImagePlatform',
]);

const CHECK = /^check[\t\n\f\r ]*=[\t\n\f\r ]*(.+)$/i;

/**
 * # Options for one instruction
 *
 * `# check=skip=RULE why` among the comments above an instruction holds for it alone, beside the
 * options of the file. The comments are those that describe a stage, too: all since the previous
 * instruction, and since the last empty one. The first with the name counts. A text that cannot be
 * read, and `error=`, have no effect. In the first lines of a file, `# check=` is a directive for
 * the whole file (`check-options.ts`), and none of these comments.
 */
export class InlineOptions {
  readonly #dockerfile: Dockerfile;
  readonly #file: CheckOptions;
  #byLine: ReadonlyMap<number, CheckOptions> | undefined;

  constructor(dockerfile: Dockerfile, file: CheckOptions) {
    this.#dockerfile = dockerfile;
    this.#file = file;
  }

  /** The options for a finding of `rule`, for which the comments above `range` count. */
  at(rule: Rule, range: SourceRange): CheckOptions {
    if (range.source !== this.#dockerfile.source || OF_THE_FILE.has(rule.name)) return this.#file;
    this.#byLine ??= this.#read();
    return this.#byLine.get(range.start.line) ?? this.#file;
  }

  #read(): ReadonlyMap<number, CheckOptions> {
    const { globalArgs, stages } = this.#dockerfile;
    const found = new Map<number, CheckOptions>();
    const add = ({ docComment, range }: Instruction) => {
      const own = /check/i.test(docComment) ? inlineOptions(docComment, range) : undefined;
      if (own) found.set(range.start.line, merged(this.#file, own));
    };
    globalArgs.forEach(add);
    for (const { from, instructions } of stages) {
      add(from);
      instructions.forEach(add);
    }
    return found;
  }
}

function inlineOptions(comments: string, range: SourceRange): CheckOptions | undefined {
  for (const comment of comments.split('\n')) {
    const value = CHECK.exec(comment)?.[1];
    if (value === undefined) continue;
    try {
      return parseCheckOptions({ value, range });
    } catch {
      return undefined;
    }
  }
  return undefined;
}

function merged(file: CheckOptions, own: CheckOptions): CheckOptions {
  const both = (a: CheckOptions['skip'], b: CheckOptions['skip']) =>
    a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b]);
  return {
    ...file,
    skip: both(file.skip, own.skip),
    experimental: both(file.experimental, own.experimental),
  };
}
