# The words of ENV, LABEL and ARG: `key=value`, or a bare `key` where the instruction allows it
# (ARG).
list -> entry                   {% ([entry]) => [entry] %}
  | list %space entry           {% ([list, , entry]) => [...list, entry] %}

entry -> %key                   {% ([key]) => ({ key: key.value, value: undefined }) %}
  | %key %equals %value         {% ([key, , value]) => ({ key: key.value, value: value.value }) %}
