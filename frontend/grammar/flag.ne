# One --flag word: quotes and escapes inside it are removed. A quote that is never closed reaches to
# the end of the line.
flag -> %dashes parts           {% ([, parts]) => parts.join('') %}

parts -> null                   {% () => [] %}
  | parts part                  {% ([parts, part]) => [...parts, part] %}

part -> %text                   {% ([token]) => token.value %}
  | %escape                     {% ([token]) => token.value.slice(1) %}
  | %quote                      {% () => '' %}
  | %unquote                    {% () => '' %}
