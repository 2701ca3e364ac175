// @ts-nocheck
// Compiled from keyvalue.ne by scripts/grammar.ts; edit that instead.
import type { CompiledRules } from 'nearley';


export const grammar: CompiledRules = {
  Lexer: undefined,
  ParserRules: [
    { name: "list", symbols: ["entry"], postprocess: ([entry]) => [entry] },
    { name: "list", symbols: ["list", { type: "space" }, "entry"], postprocess: ([list, , entry]) => [...list, entry] },
    { name: "entry", symbols: [{ type: "key" }], postprocess: ([key]) => ({ key: key.value, value: undefined }) },
    { name: "entry", symbols: [{ type: "key" }, { type: "equals" }, { type: "value" }], postprocess: ([key, , value]) => ({ key: key.value, value: value.value }) },
  ],
  ParserStart: "list",
};
