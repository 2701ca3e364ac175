# One whole ${…} of a word. The tokens come from expand/lexer.ts, which already knows quotes and
# escapes.
@{%
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
%}
substitution ->
    %open name %close           {% ([, name]) => ({ kind: 'variable', name, braces: true }) %}
  | %open name %operator parts %close
      {% ([, name, op, word]) => ({ kind: 'operator', name, op: op.value, word }) %}
  | %open name %slash parts %separator parts %close
      {% ([, name, slash, pattern, , replacement]) => replace(name, slash, pattern, replacement) %}

name -> null                    {% () => '' %}
  | %name                       {% ([token]) => token.value %}

parts -> null                   {% () => [] %}
  | parts part                  {% ([parts, part]) => [...parts, part] %}

part -> %text                   {% text %}
  | %escape                     {% ([token]) => ({ kind: 'escape', char: token.value.slice(1) }) %}
  | %single
      {% ([token]) => ({ kind: 'single', text: token.value.slice(1, -1) }) %}
  | %variable                   {% variable %}
  | %dollar                     {% text %}
  | %quote inner %unquote       {% ([, parts]) => ({ kind: 'double', parts }) %}
  | substitution                {% ([part]) => part %}

inner -> null                   {% () => [] %}
  | inner quoted                {% ([parts, part]) => [...parts, part] %}

quoted -> %text                 {% text %}
  | %quotedEscape               {% ([token]) => ({ kind: 'quotedEscape', text: token.value }) %}
  | %variable                   {% variable %}
  | %dollar                     {% text %}
  | substitution                {% ([part]) => part %}
