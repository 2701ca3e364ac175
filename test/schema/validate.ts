import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** The keywords of JSON schema (draft 4) that the schemas of OCI use. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly enum?: readonly Json[];
  readonly oneOf?: readonly Schema[];
}

const WORDS = new Set(
  (
    '$ref type properties additionalProperties required items minItems minimum maximum ' +
    'pattern format enum oneOf'
  ).split(' '),
);

export const OCI: Readonly<Record<string, Schema>> = JSON.parse(
  readFileSync(join(import.meta.dirname, 'oci.json'), 'utf8'),
);

/** Returns a message for everything in `value` that does not match the schema called `name`. */
export function violations(value: unknown, name: string): string[] {
  const schema = OCI[name];
  if (!schema) throw new Error(`there is no schema ${name}`);
  return check(value as Json, schema, name);
}

function check(value: Json, schema: Schema, path: string): string[] {
  const unknown = Object.keys(schema).find((word) => !WORDS.has(word));
  if (unknown !== undefined)
    throw new Error(`the schema of ${path} has ${unknown}, which is not understood`);
  if (schema.$ref !== undefined) {
    const target = OCI[schema.$ref];
    if (!target) throw new Error(`the schema of ${path} refers to ${schema.$ref}`);
    return check(value, target, path);
  }
  if (schema.oneOf) {
    const fitting = schema.oneOf.filter((choice) => check(value, choice, path).length === 0);
    return fitting.length === 1
      ? []
      : [`${path} fits ${fitting.length} of ${schema.oneOf.length} choices`];
  }
  if (schema.type !== undefined && !isOf(value, schema.type))
    return [`${path} is no ${schema.type}`];
  const broken: string[] = [];
  if (schema.enum && !schema.enum.includes(value))
    broken.push(`${path} is none of ${JSON.stringify(schema.enum)}`);
  if (typeof value === 'string') broken.push(...checkText(value, schema, path));
  if (typeof value === 'number') {
    if (schema.minimum !== undefined && value < schema.minimum)
      broken.push(`${path} is below ${schema.minimum}`);
    if (schema.maximum !== undefined && value > schema.maximum)
      broken.push(`${path} is above ${schema.maximum}`);
  }
  if (Array.isArray(value)) {
    if (value.length < (schema.minItems ?? 0)) broken.push(`${path} has ${value.length} items`);
    const { items } = schema;
    if (items)
      broken.push(
        ...value.flatMap((item: Json, index: number) => check(item, items, `${path}[${index}]`)),
      );
  } else if (typeof value === 'object' && value !== null)
    broken.push(...checkObject(value as Record<string, Json>, schema, path));
  return broken;
}

function checkText(value: string, { pattern, format }: Schema, path: string): string[] {
  if (pattern !== undefined && !new RegExp(pattern).test(value))
    return [`${path} does not match ${pattern}`];
  if (format === 'date-time')
    return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value)
      ? []
      : [`${path} is no date-time`];
  if (format === 'uri') return URL.canParse(value) ? [] : [`${path} is no URI`];
  if (format !== undefined)
    throw new Error(`the schema of ${path} has the format ${format}, which is not understood`);
  return [];
}

function checkObject(value: Record<string, Json>, schema: Schema, path: string): string[] {
  const missing = (schema.required ?? [])
    .filter((name) => !(name in value))
    .map((name) => `${path} lacks ${name}`);
  const members = Object.entries(value).flatMap(([name, member]) => {
    const known = schema.properties?.[name] ?? schema.additionalProperties;
    return known ? check(member, known, `${path}.${name}`) : [];
  });
  return [...missing, ...members];
}

function isOf(value: Json, type: string): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'string':
    case 'boolean':
      return typeof value === type;
    default:
      throw new Error(`the type ${type} is not understood`);
  }
}
