// @ts-nocheck
// Compiled from flag.ne by scripts/grammar.ts; edit that instead.
import type { CompiledRules } from 'nearley';


export const grammar: CompiledRules = {
  Lexer: undefined,
  ParserRules: [
    { name: "flag", symbols: [{ type: "dashes" }, "parts"], postprocess: ([, parts]) => parts.join('') },
    { name: "parts", symbols: [], postprocess: () => [] },
    { name: "parts", symbols: ["parts", "part"], postprocess: ([parts, part]) => [...parts, part] },
    { name: "part", symbols: [{ type: "text" }], postprocess: ([token]) => token.value },
    { name: "part", symbols: [{ type: "escape" }], postprocess: ([token]) => token.value.slice(1) },
    { name: "part", symbols: [{ type: "quote" }], postprocess: () => '' },
    { name: "part", symbols: [{ type: "unquote" }], postprocess: () => '' },
  ],
  ParserStart: "flag",
};
