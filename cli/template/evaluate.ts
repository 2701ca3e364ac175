import { type Expression, parseTemplate, type TemplateNode, templateError } from './parse.ts';

/** How values are printed. */
export interface TemplateOptions {
  /** The indentation of the function `json`. Without it, `json` prints one line. */
  readonly indent?: string;
  /** Returns the text of an object or list, or undefined to print it as JSON. */
  readonly print?: (value: unknown) => string | undefined;
}

interface Scope {
  /** The data of the whole template. */
  readonly root: unknown;
  /** The current value, `.` in the template. */
  readonly dot: unknown;
  readonly variables: ReadonlyMap<string, unknown>;
  readonly options: TemplateOptions;
}

/**
 * Evaluates a Go template with `data`. It supports the part of the syntax that parse.ts describes.
 * Field names are compared with JSON names without case and punctuation: `.RootFS` is `rootfs`,
 * `.OSVersion` is `os.version`. A field that is missing in `data` itself is an error. One that is
 * missing deeper prints `<no value>`. Lists and objects print as JSON. Throws
 * KILN_TEMPLATE_INVALID.
 */
export function renderTemplate(
  template: string | readonly TemplateNode[],
  data: unknown,
  options: TemplateOptions = {},
): string {
  const nodes = typeof template === 'string' ? parseTemplate(template) : template;
  return render(nodes, { root: data, dot: data, variables: new Map([['', data]]), options });
}

function render(nodes: readonly TemplateNode[], outer: Scope): string {
  let scope = outer;
  let out = '';
  for (const node of nodes) {
    if (node.kind === 'text') out += node.text;
    else if (node.kind === 'print') out += text(evaluate(node.value, scope), scope.options);
    else if (node.kind === 'assign') scope = bound(scope, node.name, evaluate(node.value, scope));
    else out += renderBranches(node, scope);
  }
  return out;
}

function renderBranches(
  node: Extract<TemplateNode, { body: readonly TemplateNode[] }>,
  scope: Scope,
): string {
  const value = evaluate(node.value, scope);
  if (node.kind !== 'range') {
    if (!truth(value)) return render(node.otherwise, scope);
    const inner = node.kind === 'with' ? { ...scope, dot: value } : scope;
    return render(
      node.body,
      node.names[0] === undefined ? inner : bound(inner, node.names[0], value),
    );
  }
  const entries = entriesOf(value);
  if (entries.length === 0) return render(node.otherwise, scope);
  const [first, second] = node.names;
  return entries
    .map(([key, item]) => {
      let inner: Scope = { ...scope, dot: item };
      if (second !== undefined) inner = bound(bound(inner, first ?? '', key), second, item);
      else if (first !== undefined) inner = bound(inner, first, item);
      return render(node.body, inner);
    })
    .join('');
}

/** Returns the entries of a list or map. The keys of a map are sorted, as in Go's range. */
function entriesOf(value: unknown): (readonly [string | number, unknown])[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value.map((item, index) => [index, item] as const);
  if (typeof value === 'object') return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  throw templateError(`range cannot iterate over ${JSON.stringify(value)}`);
}

function bound(scope: Scope, name: string, value: unknown): Scope {
  return { ...scope, variables: new Map([...scope.variables, [name, value]]) };
}

function evaluate(expression: Expression, scope: Scope): unknown {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'path':
      return expression.fields.reduce(
        (value, field) => fieldOf(value, field, scope),
        origin(expression.from, scope),
      );
    case 'call': {
      const body = Object.hasOwn(FUNCTIONS, expression.name)
        ? FUNCTIONS[expression.name]
        : undefined;
      if (!body)
        throw templateError(
          `there is no function ${expression.name}`,
          `the functions are ${Object.keys(FUNCTIONS).join(', ')}`,
        );
      return body(
        expression.args.map((arg) => evaluate(arg, scope)),
        scope.options,
      );
    }
  }
}

function origin(from: Extract<Expression, { kind: 'path' }>['from'], scope: Scope): unknown {
  if (from === 'dot') return scope.dot;
  if ('kind' in from) return evaluate(from, scope);
  if (!scope.variables.has(from.variable))
    throw templateError(`there is no variable $${from.variable}`);
  return scope.variables.get(from.variable);
}

function fieldOf(value: unknown, field: string, { root }: Scope): unknown {
  if (typeof value !== 'object' || value === null) {
    if (value === undefined || value === null) return undefined;
    throw templateError(`${JSON.stringify(value)} has no field ${field}`);
  }
  if (Object.hasOwn(value, field)) return (value as Record<string, unknown>)[field];
  const normalized = normalizedName(field);
  const found = Object.keys(value).find((name) => normalizedName(name) === normalized);
  if (found !== undefined) return (value as Record<string, unknown>)[found];
  if (value === root)
    throw templateError(
      `there is no field ${field}`,
      `the fields are ${Object.keys(value).join(', ')}`,
    );
  return undefined;
}

/** Normalizes a field name. Names in Go and in JSON differ in case and in punctuation. */
function normalizedName(name: string): string {
  return name.toLowerCase().replace(/[_.-]/g, '');
}

function truth(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function text(value: unknown, options: TemplateOptions): string {
  if (value === undefined || value === null) return '<no value>';
  if (typeof value === 'object') return options.print?.(value) ?? goJson(value);
  return String(value);
}

/** Returns JSON with the escapes of Go's encoder. */
function goJson(value: unknown, indent?: string): string {
  const json = JSON.stringify(value ?? null, null, indent);
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

type Body = (args: readonly unknown[], options: TemplateOptions) => unknown;

/** Go's function `index`: looks up a value by one key after the other. */
const index: Body = ([value, ...keys]) =>
  keys.reduce((inner, key) => {
    if (inner === undefined || inner === null) return undefined;
    if (typeof inner === 'object' && Object.hasOwn(inner, String(key)))
      return (inner as Record<string, unknown>)[String(key)];
    if (Array.isArray(inner)) throw templateError(`index ${String(key)} is out of range`);
    return undefined;
  }, value);

const equal = (a: unknown, b: unknown) =>
  a === b || (typeof a === 'object' && JSON.stringify(a) === JSON.stringify(b));
const string = (value: unknown) => (typeof value === 'string' ? value : text(value, {}));

const FUNCTIONS: Readonly<Record<string, Body>> = {
  json: ([value], { indent }) => goJson(value, indent),
  index,
  len: ([value]) =>
    typeof value === 'string' ? Buffer.byteLength(value) : entriesOf(value).length,
  eq: ([first, ...others]) => others.some((other) => equal(first, other)),
  ne: ([a, b]) => !equal(a, b),
  not: ([value]) => !truth(value),
  and: (args) => args.find((arg) => !truth(arg)) ?? args.at(-1),
  or: (args) => args.find(truth) ?? args.at(-1),
  join: ([list, separator]) =>
    Array.isArray(list) ? list.map(string).join(string(separator)) : string(list),
  split: ([value, separator]) => string(value).split(string(separator)),
  lower: ([value]) => string(value).toLowerCase(),
  upper: ([value]) => string(value).toUpperCase(),
  print: (args) => args.map(string).join(' '),
  println: (args) => `${args.map(string).join(' ')}\n`,
};
