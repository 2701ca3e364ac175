import type { Dockerfile } from '../instructions.ts';
import type { Warning } from './warning.ts';

/** `# check=skip=RULE,RULE`, and after a space why. */
const SKIP = /^\s*#\s*check\s*=\s*skip=(\S+)/i;
const COMMENT = /^\s*#/;

/**
 * # Findings of one instruction that its author knows about
 *
 * `# check=skip=RULE` in the comment directly above an instruction skips the rule for it alone.
 * `skip=all` skips all rules. In the first lines of a file it is a directive for the whole file
 * (`check-options.ts`).
 */
export class SkipComments {
  readonly #source: Dockerfile['source'];
  /** The line of the directive for the whole file. */
  readonly #directive: number | undefined;
  #lines: readonly string[] | undefined;

  constructor({ source, directives }: Pick<Dockerfile, 'source' | 'directives'>) {
    this.#source = source;
    this.#directive = directives.check?.range.start.line;
  }

  skip({ rule, range }: Pick<Warning, 'rule' | 'range'>): boolean {
    if (range.source !== this.#source || !this.#source.text.includes('skip=')) return false;
    this.#lines ??= this.#source.text.split('\n');
    for (let line = range.start.line - 1; line > 0 && line !== this.#directive; line--) {
      const text = this.#lines[line - 1] ?? '';
      if (!COMMENT.test(text)) return false;
      const skipped = SKIP.exec(text)?.[1]?.split(',');
      if (skipped?.some((name) => name === 'all' || name === rule.name)) return true;
    }
    return false;
  }
}
