/**
 * Makes the namespace objects of a bundle at their first use, not when the file is loaded.
 *
 * For each module that is imported dynamically, or looked up by path (split.ts), esbuild writes
 * statements that add a getter for each export to its namespace when the file is loaded:
 *
 *     var oci_exports = {};
 *     __export(oci_exports, {
 *       exportOci: () => exportOci
 *     });
 *
 * A cached build uses few of these modules. The getters of all of them take 2 of its 65 ms (2-core
 * VM, 2026-11).
 *
 * `code` is the output of esbuild without minifying. Returns code that does the same. Throws when
 * esbuild has written namespaces in another form.
 */
export function lazyNamespaces(code: string): string {
  const names = new Set([...code.matchAll(NAMESPACE)].map(([, name]) => name!));
  if (names.size !== code.match(/\b__export\(/g)?.length)
    throw new Error('esbuild writes namespaces in another form: adapt scripts/namespaces.ts');
  let made = '';
  const rest = code.replace(NAMESPACE, (_, name: string, getters: string) => {
    const fill = `if(!${name})__export(${name}={},{${getters}});`;
    made += `var ${name};function ${name}${ACCESSOR}(){${fill}return ${name}}\n`;
    return '';
  });
  return (
    made +
    rest.replace(/(?<![\w$.])\w+_exports\d*\b/g, (name) =>
      names.has(name) ? `${name}${ACCESSOR}()` : name,
    )
  );
}

const NAMESPACE = /^var (\w+_exports\d*) = \{\};\n__export\(\1, \{\n([^{}]*)\}\);$/gm;
const ACCESSOR = '$namespace';
