# One record of comma-separated values with the quoting rules of Go's encoding/csv, as in
# --mount=type=cache,"target=/a,b".
record -> field                 {% ([field]) => [field] %}
  | record %comma field         {% ([record, , field]) => [...record, field] %}

field -> null                   {% () => '' %}
  | %bare                       {% ([token]) => token.value %}
  | %quote quoted %unquote      {% ([, parts]) => parts.join('') %}

quoted -> null                  {% () => [] %}
  | quoted %text                {% ([parts, token]) => [...parts, token.value] %}
  | quoted %doubled             {% ([parts]) => [...parts, '"'] %}
