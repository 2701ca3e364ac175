// @ts-nocheck
// Compiled from mount.ne by scripts/grammar.ts; edit that instead.
import type { CompiledRules } from 'nearley';


export const grammar: CompiledRules = {
  Lexer: undefined,
  ParserRules: [
    { name: "record", symbols: ["field"], postprocess: ([field]) => [field] },
    { name: "record", symbols: ["record", { type: "comma" }, "field"], postprocess: ([record, , field]) => [...record, field] },
    { name: "field", symbols: [], postprocess: () => '' },
    { name: "field", symbols: [{ type: "bare" }], postprocess: ([token]) => token.value },
    { name: "field", symbols: [{ type: "quote" }, "quoted", { type: "unquote" }], postprocess: ([, parts]) => parts.join('') },
    { name: "quoted", symbols: [], postprocess: () => [] },
    { name: "quoted", symbols: ["quoted", { type: "text" }], postprocess: ([parts, token]) => [...parts, token.value] },
    { name: "quoted", symbols: ["quoted", { type: "doubled" }], postprocess: ([parts]) => [...parts, '"'] },
  ],
  ParserStart: "record",
};
