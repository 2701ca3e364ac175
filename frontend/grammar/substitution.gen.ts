// @ts-nocheck
// Compiled from substitution.ne by scripts/grammar.ts; edit that instead.
import type { CompiledRules } from 'nearley';
const text = ([token]) => ({ kind: 'text', text: token.value });
const variable = ([token]) => ({
  kind: 'variable',
  name: token.value,
  braces: token.text[1] === '{',
});
const replace = (name, slash, pattern, replacement) => ({
  kind: 'replace',
  name,
  all: slash.value === '//',
  pattern,
  replacement,
});

export const grammar: CompiledRules = {
  Lexer: undefined,
  ParserRules: [
    { name: "substitution", symbols: [{ type: "open" }, "name", { type: "close" }], postprocess: ([, name]) => ({ kind: 'variable', name, braces: true }) },
    { name: "substitution", symbols: [{ type: "open" }, "name", { type: "operator" }, "parts", { type: "close" }], postprocess: ([, name, op, word]) => ({ kind: 'operator', name, op: op.value, word }) },
    { name: "substitution", symbols: [{ type: "open" }, "name", { type: "slash" }, "parts", { type: "separator" }, "parts", { type: "close" }], postprocess: ([, name, slash, pattern, , replacement]) => replace(name, slash, pattern, replacement) },
    { name: "name", symbols: [], postprocess: () => '' },
    { name: "name", symbols: [{ type: "name" }], postprocess: ([token]) => token.value },
    { name: "parts", symbols: [], postprocess: () => [] },
    { name: "parts", symbols: ["parts", "part"], postprocess: ([parts, part]) => [...parts, part] },
    { name: "part", symbols: [{ type: "text" }], postprocess: text },
    { name: "part", symbols: [{ type: "escape" }], postprocess: ([token]) => ({ kind: 'escape', char: token.value.slice(1) }) },
    { name: "part", symbols: [{ type: "single" }], postprocess: ([token]) => ({ kind: 'single', text: token.value.slice(1, -1) }) },
    { name: "part", symbols: [{ type: "variable" }], postprocess: variable },
    { name: "part", symbols: [{ type: "dollar" }], postprocess: text },
    { name: "part", symbols: [{ type: "quote" }, "inner", { type: "unquote" }], postprocess: ([, parts]) => ({ kind: 'double', parts }) },
    { name: "part", symbols: ["substitution"], postprocess: ([part]) => part },
    { name: "inner", symbols: [], postprocess: () => [] },
    { name: "inner", symbols: ["inner", "quoted"], postprocess: ([parts, part]) => [...parts, part] },
    { name: "quoted", symbols: [{ type: "text" }], postprocess: text },
    { name: "quoted", symbols: [{ type: "quotedEscape" }], postprocess: ([token]) => ({ kind: 'quotedEscape', text: token.value }) },
    { name: "quoted", symbols: [{ type: "variable" }], postprocess: variable },
    { name: "quoted", symbols: [{ type: "dollar" }], postprocess: text },
    { name: "quoted", symbols: ["substitution"], postprocess: ([part]) => part },
  ],
  ParserStart: "substitution",
};
