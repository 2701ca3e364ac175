/**
 * Splits a line such as `type=oci,dest=out.tar,"annotation.x=a,b"` at its commas, as Go's
 * encoding/csv does: a field may be in double quotes, and `""` inside them is one quote. Returns
 * undefined when a quote is not closed.
 */
export function csvFields(text: string): string[] | undefined {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      const match = /"((?:[^"]|"")*)"(,|$)/y;
      match.lastIndex = at;
      const found = match.exec(text);
      if (!found) return undefined;
      fields.push((found[1] ?? '').replaceAll('""', '"'));
      at = match.lastIndex;
      if (found[2] === '') return fields;
    } else {
      const comma = text.indexOf(',', at);
      fields.push(comma < 0 ? text.slice(at) : text.slice(at, comma));
      if (comma < 0) return fields;
      at = comma + 1;
    }
  }
}
