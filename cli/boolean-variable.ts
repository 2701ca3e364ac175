/** The value of an environment variable as Go's ParseBool reads it. Undefined for any other. */
export function booleanVariable(value: string | undefined): boolean | undefined {
  if (/^(?:1|t|T|true|TRUE|True)$/.test(value ?? '')) return true;
  return /^(?:0|f|F|false|FALSE|False)$/.test(value ?? '') ? false : undefined;
}
