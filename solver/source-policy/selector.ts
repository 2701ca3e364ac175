import { createContext, Script } from 'node:vm';
import { KilnError } from '../../base/errors.ts';
import type { PolicySelector } from './policy.ts';

/** How the texts that a selector means are found, and what is made of them. */
export interface Matcher {
  readonly matches: (text: string) => boolean;
  /** Puts what was matched in `text` into the places that `template` names (`${1}`). */
  readonly format: (text: string, template: string) => string;
}

/** Throws KILN_POLICY_INVALID for a pattern that is not valid. */
export function matcherOf(
  { identifier, matchType }: Pick<PolicySelector, 'identifier' | 'matchType'>,
  time: RegexTime,
): Matcher {
  switch (matchType) {
    case 'EXACT':
      return { matches: (text) => text === identifier, format: (_text, template) => template };
    case 'WILDCARD':
      return wildcard(identifier);
    case 'REGEX':
      return expression(identifier, time);
  }
}

/** `*` stands for any characters but line breaks. What each of them matches is a group. */
function wildcard(pattern: string): Matcher {
  if (pattern.includes('**')) throw invalid(`invalid wildcard: "**" in ${quoted(pattern)}`);
  const parts = pattern.split('*');
  const groups = (text: string) => wildcardGroups(parts, text);
  return {
    matches: (text) => text === pattern || groups(text) !== undefined,
    format: (text, template) => {
      const found = groups(text);
      return found ? expanded(template, [text, ...found], {}) : text;
    },
  };
}

/**
 * What is between the parts. The first `*` matches as much as it can, then the second, as in a
 * regular expression: so each part is as far to the right as the parts after it leave room.
 */
function wildcardGroups(parts: readonly string[], text: string): string[] | undefined {
  const [first = '', ...others] = parts;
  if (others.length === 0) return text === first ? [] : undefined;
  if (!text.startsWith(first)) return undefined;
  const groups: string[] = [];
  let end = text.length;
  for (const [index, part] of others.toReversed().entries()) {
    const latest = end - part.length;
    if (latest < first.length) return undefined;
    const at = index > 0 ? text.lastIndexOf(part, latest) : text.endsWith(part) ? latest : -1;
    if (at < first.length) return undefined;
    if (index > 0) groups.unshift(text.slice(at + part.length, end));
    end = at;
  }
  groups.unshift(text.slice(first.length, end));
  return groups.some((group) => group.includes('\n')) ? undefined : groups;
}

/** The number of attempts for an expression that got too little processor time. */
const MAX_TRIES = 20;

/**
 * How long the regular expressions of one build may run altogether, in milliseconds of processor
 * time: a busy machine takes none of it away. V8 goes back in the text, so a hostile expression
 * would never end.
 */
export class RegexTime {
  #left = 500;

  /** Runs `body` with what is left. Throws KILN_POLICY_INVALID when nothing is. */
  spend<T>(pattern: string, body: (limit: number) => T): T {
    for (let tries = 1; ; tries++) {
      const limit = Math.ceil(this.#left);
      const start = processorTime();
      try {
        if (this.#left < 1) throw new Error('no time is left');
        return body(limit);
      } catch (error) {
        const hadTime = processorTime() - start >= limit / 2;
        if (hadTime || this.#left < 1 || tries === MAX_TRIES)
          throw invalid(`the regex ${quoted(pattern)} takes too long`, error);
      } finally {
        this.#left -= processorTime() - start;
      }
    }
  }
}

/** Milliseconds that this process has run. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** A regular expression in the syntax of Go (RE2). */
function expression(pattern: string, time: RegexTime): Matcher {
  const find = finder(pattern, time);
  return {
    matches: (text) => text === pattern || find(text).length > 0,
    format(text, template) {
      let result = '';
      let at = 0;
      for (const { index, groups, named } of find(text)) {
        result += text.slice(at, index) + expanded(template, groups, named);
        at = index + (groups[0]?.length ?? 0);
      }
      return result + text.slice(at);
    },
  };
}

interface Found {
  readonly index: number;
  readonly groups: readonly string[];
  readonly named: Readonly<Record<string, string | undefined>>;
}

const FIND = `JSON.stringify(
  [...text.matchAll(new RegExp(source, flags))].map((found) => ({
    index: found.index,
    groups: [...found].map((group) => group ?? ''),
    named: { ...found.groups },
  }))
)`;

/** In which expressions run. Only there can V8 be told to stop. */
let room: { readonly context: object; readonly script: Script } | undefined;

function finder(pattern: string, time: RegexTime): (text: string) => readonly Found[] {
  const { source, flags } = translated(pattern);
  try {
    new RegExp(source, flags);
  } catch (error) {
    throw invalid(`invalid regex ${quoted(pattern)}`, error);
  }
  return (text) => {
    const { context, script } = (room ??= { context: createContext({}), script: new Script(FIND) });
    return time.spend(pattern, (timeout) => {
      Object.assign(context, { text, source, flags });
      return JSON.parse(script.runInContext(context, { timeout })) as Found[];
    });
  };
}

/** What Go has and JavaScript has not. Look-around and references back are not in Go. */
function translated(pattern: string): { readonly source: string; readonly flags: string } {
  const [, own = ''] = /^\(\?([ims]+)\)/.exec(pattern) ?? [];
  const rest = own === '' ? pattern : pattern.slice(own.length + 3);
  if (/(?:^|[^\\])(?:\\\\)*(?:\(\?(?:[=!]|<[=!])|\\[1-9])/.test(rest))
    throw invalid(`invalid or unsupported Perl syntax in the regex ${quoted(pattern)}`);
  const source = rest
    .replaceAll('(?P<', '(?<')
    .replace(/\\z$/, own.includes('m') ? '(?![\\s\\S])' : '$')
    .replace(/^\\A/, own.includes('m') ? '(?<![\\s\\S])' : '^')
    .replace(/\[:(\w+):\]/g, (all, name: string) => CLASSES[name] ?? all);
  return { source, flags: `g${own}` };
}

const CLASSES: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  space: '\\s',
  word: '\\w',
  xdigit: '0-9A-Fa-f',
};

/** `$1`, `${1}`, `$name` and `${name}` as in Go's `Regexp.Expand`; `$$` is a dollar sign. */
function expanded(
  template: string,
  groups: readonly string[],
  named: Readonly<Record<string, string | undefined>>,
): string {
  return template.replace(
    /\$(?:\$|\{(\w+)\}|(\w+))/g,
    (all, braced: string | undefined, plain: string | undefined) => {
      const name = braced ?? plain;
      if (name === undefined) return all === '$$' ? '$' : all;
      if (/^\d+$/.test(name)) return groups[Number(name)] ?? '';
      return Object.hasOwn(named, name) ? (named[name] ?? '') : '';
    },
  );
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}

function invalid(message: string, cause?: unknown): KilnError {
  return new KilnError('KILN_POLICY_INVALID', message, { ...(cause !== undefined && { cause }) });
}
