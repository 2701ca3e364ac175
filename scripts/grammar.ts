/**
 * Compiles the nearley grammars of the frontend (`frontend/grammar/NAME.ne`) to `NAME.gen.ts`,
 * which is committed so that a checkout runs without a build. `node scripts/grammar.ts --check`
 * writes nothing, and fails when a committed file is stale.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../frontend/grammar');

interface CompiledSymbol {
  readonly literal?: string;
  readonly token?: string;
}
interface CompiledRule {
  readonly name: string;
  readonly symbols: readonly (string | CompiledSymbol)[];
  readonly postprocess?: string | { readonly builtin: string };
}
interface Compiled {
  readonly rules: readonly CompiledRule[];
  readonly body: readonly string[];
  readonly start: string;
}

/**
 * Compiles the source of a grammar to TypeScript. Throws for a terminal that is not a token type
 * (`%name`), because a literal would bypass the lexer.
 */
export function compileGrammar(source: string, name: string): string {
  const require = createRequire(import.meta.url);
  const nearley = require('nearley');
  const compile = require('nearley/lib/compile.js') as (
    tree: unknown,
    options: unknown,
  ) => Compiled;
  const language = nearley.Grammar.fromCompiled(
    require('nearley/lib/nearley-language-bootstrapped.js'),
  );
  const parser = new nearley.Parser(language);
  parser.feed(source);
  // nearley's own grammar is ambiguous about blank lines and comments, with equal meanings. Like
  // nearley's compiler, this uses the first result.
  if (parser.results.length === 0) throw new Error(`${name}.ne: unexpected end`);
  const compiled = compile(parser.results[0], { version: 'kiln', args: [], alreadycompiled: [] });
  const rules = compiled.rules.map((rule) => `    ${printRule(rule)},`);
  return `// @ts-nocheck
// Compiled from ${name}.ne by scripts/grammar.ts; edit that instead.
import type { CompiledRules } from 'nearley';
${compiled.body.join('\n').trim()}

export const grammar: CompiledRules = {
  Lexer: undefined,
  ParserRules: [
${rules.join('\n')}
  ],
  ParserStart: ${JSON.stringify(compiled.start)},
};
`;
}

function printRule(rule: CompiledRule): string {
  const symbols = rule.symbols.map((symbol) => {
    if (typeof symbol === 'string') return JSON.stringify(symbol);
    if (symbol.token) return `{ type: ${JSON.stringify(symbol.token)} }`;
    throw new Error(`${rule.name}: only %token terminals are allowed`);
  });
  const post = rule.postprocess;
  const action =
    typeof post === 'string' ? post.trim() : post?.builtin === 'id' ? '(d) => d[0]' : undefined;
  return (
    `{ name: ${JSON.stringify(rule.name)}, symbols: ` +
    `[${symbols.join(', ')}]${action ? `, postprocess: ${action}` : ''} }`
  );
}

/** Returns the names of the grammars whose `.gen.ts` is stale. Updates the files when `write`. */
export function staleGrammars(write: boolean): string[] {
  const stale: string[] = [];
  for (const file of readdirSync(FOLDER).sort()) {
    if (!file.endsWith('.ne')) continue;
    const name = file.slice(0, -3);
    const target = join(FOLDER, `${name}.gen.ts`);
    const text = compileGrammar(readFileSync(join(FOLDER, file), 'utf8'), name);
    if (text === readOrEmpty(target)) continue;
    stale.push(name);
    if (write) writeFileSync(target, text);
  }
  return stale;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

if (process.argv[1] === import.meta.filename) {
  const check = process.argv.includes('--check');
  const stale = staleGrammars(!check);
  for (const name of stale)
    console.log(check ? `${name}.gen.ts is stale: run 'npm run grammar'` : `wrote ${name}.gen.ts`);
  if (check && stale.length > 0) process.exitCode = 1;
}
