import { type Digest, isDigest } from '../../base/digest.ts';
import * as wire from './wire.ts';
import { type MessageWriter, malformedGraph, type WireField } from './wire.ts';

/**
 * # Messages as tables
 *
 * A message of LLB (BuildKit solver/pb/ops.proto) is a table of the fields that its TypeScript
 * value has, each with its number. A table writes and reads, so that the two cannot differ, and the
 * compiler demands every field of the value. It also makes the JSON that Go makes of the message,
 * for provenance: there a field that is zero or empty is left out.
 *
 * A table lists its fields in the order in which Go writes them: by number, except that the members
 * of a oneof come last.
 */

/** The fields of a message that is read, in the order of the bytes. */
type Found = readonly WireField[];

/** How one field of a value is written and read. */
export interface Field<T> {
  readonly write: (out: MessageWriter, value: T) => void;
  /** The zero value of the type when the message does not have the field. */
  readonly read: (found: Found) => T;
  /** Its name in JSON when that is not the name in the table. */
  readonly jsonName: string | undefined;
  /** Its value in JSON. Undefined when Go leaves it out. */
  readonly json: (value: T) => unknown;
}

/** A field of the value that is one field of the message. */
interface Numbered<T> extends Field<T> {
  readonly number: number;
  /** Whether `optionalField` leaves out this value of a field that the message has. */
  readonly isEmpty: (value: T) => boolean;
}

export interface Message<T> {
  readonly write: (out: MessageWriter, value: T) => void;
  readonly read: (bytes: Uint8Array) => T;
  readonly json: (value: T) => Readonly<Record<string, unknown>>;
}

/** An optional property of `T` needs an `optionalField`. */
export type Table<T> = {
  readonly [name in keyof T]-?: Field<undefined extends T[name] ? T[name] | undefined : T[name]>;
};

export function message<T extends object>(table: Table<T>): Message<T> {
  const fields = Object.entries(table) as [keyof T & string, Field<unknown>][];
  return {
    write: (out, value) => {
      for (const [name, field] of fields) field.write(out, value[name]);
    },
    read: (bytes) => {
      const found = wire.allFields(bytes);
      const value: Record<string, unknown> = {};
      for (const [name, field] of fields) {
        const part = field.read(found);
        if (part !== undefined) value[name] = part;
      }
      return value as T;
    },
    json: (value) => {
      const shown: Record<string, unknown> = {};
      for (const [name, field] of fields) {
        const part = value[name] === undefined ? undefined : field.json(value[name]);
        if (part !== undefined) shown[field.jsonName ?? name] = part;
      }
      return shown;
    },
  };
}

/** The field of this number that counts where it may not be repeated: the last one. */
function lastOf(found: Found, number: number): WireField | undefined {
  for (let at = found.length - 1; at >= 0; at--) if (found[at]?.number === number) return found[at];
  return undefined;
}

function allOf(found: Found, number: number): readonly WireField[] {
  return found.filter((field) => field.number === number);
}

/** A field that a message may lack: then, and for a zero or an empty list, it is undefined. */
export function optionalField<T>(field: Numbered<T>): Field<T | undefined> {
  return {
    ...field,
    write: (out, value) => {
      if (value !== undefined) field.write(out, value);
    },
    read: (found) => {
      if (!lastOf(found, field.number)) return undefined;
      const value = field.read(found);
      return field.isEmpty(value) ? undefined : value;
    },
    json: (value) => (value === undefined ? undefined : field.json(value)),
  };
}

/** A field that is in JSON even if it is zero. */
export function alwaysInJson<T>(field: Field<T>): Field<T> {
  return { ...field, json: (value) => value };
}

/** A field without which the message has no meaning. Throws KILN_LLB_MALFORMED with `why`. */
export function demandedField<T>(field: Field<T | undefined>, why: string): Field<T> {
  return {
    ...field,
    read: (found) => {
      const value = field.read(found);
      if (value === undefined) throw malformedGraph(why);
      return value;
    },
  };
}

type Scalar<T> = Pick<Field<T>, 'write'> & {
  readonly zero: T;
  readonly parse: (field: WireField) => T;
  readonly json?: (value: T) => unknown;
};

function scalar<T>(number: number, jsonName: string | undefined, of: Scalar<T>): Numbered<T> {
  return {
    number,
    jsonName,
    write: of.write,
    read: (found) => {
      const field = lastOf(found, number);
      return field ? of.parse(field) : of.zero;
    },
    isEmpty: (value) => !value,
    json: of.json ?? ((value) => value || undefined),
  };
}

export function textField(number: number, jsonName?: string): Numbered<string> {
  return scalar(number, jsonName, {
    zero: '',
    write: (out, value) => wire.writeText(out, number, value),
    parse: wire.asText,
  });
}

/** The digest of an op. Any other text is refused with KILN_LLB_MALFORMED. */
export function digestField(number: number): Field<Digest> {
  const { read, ...field } = textField(number);
  return {
    ...field,
    read: (found) => {
      const value = read(found);
      if (!isDigest(value))
        throw malformedGraph(`${JSON.stringify(value.slice(0, 80))} is not a digest`);
      return value;
    },
  };
}

export function intField(number: number, jsonName?: string): Numbered<number> {
  return scalar(number, jsonName, {
    zero: 0,
    write: (out, value) => wire.writeInt(out, number, value),
    parse: wire.asInt,
  });
}

export function flagField(number: number, jsonName?: string): Numbered<boolean> {
  return scalar(number, jsonName, {
    zero: false,
    write: (out, value) => wire.writeBool(out, number, value),
    parse: wire.asBool,
  });
}

/** One of the numbers of an enum. Any other is refused with KILN_LLB_MALFORMED. */
export function choiceField<T extends number>(
  number: number,
  numbers: Readonly<Record<string, T>>,
): Numbered<T> {
  const known = (value: number): T => {
    const found = Object.values(numbers).find((one) => one === value);
    if (found === undefined) throw malformedGraph(`${value} is not one of its choices`);
    return found;
  };
  const { read, ...field } = intField(number);
  return { ...field, read: (found) => known(read(found)) };
}

/** A time in nanoseconds: a bigint where a double cannot hold it exactly. */
export function timeField(number: number): Field<number | bigint> {
  return scalar<number | bigint>(number, undefined, {
    zero: 0,
    write: (out, value) => wire.writeInt(out, number, value),
    parse: (field) => {
      const value = wire.asBigInt(field);
      return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)
        ? Number(value)
        : value;
    },
    json: (value) => Number(value) || undefined,
  });
}

export function bytesField(number: number): Numbered<Uint8Array> {
  return {
    ...scalar<Uint8Array>(number, undefined, {
      zero: new Uint8Array(),
      write: (out, value) => wire.writeBytes(out, number, value),
      parse: wire.asBytes,
      json: (value) => Buffer.from(value).toString('base64') || undefined,
    }),
    isEmpty: (value) => value.length === 0,
  };
}

type Repeated<T> = Pick<Field<readonly T[]>, 'write'> & {
  readonly parse: (field: WireField) => T | readonly T[];
  readonly json?: (value: T) => unknown;
};

function repeated<T>(
  number: number,
  jsonName: string | undefined,
  { write, parse, json = (value) => value }: Repeated<T>,
): Numbered<readonly T[]> {
  return {
    number,
    jsonName,
    write,
    read: (found) => allOf(found, number).flatMap(parse),
    isEmpty: (value) => value.length === 0,
    json: (value) => (value.length > 0 ? value.map(json) : undefined),
  };
}

export function textList(number: number, jsonName?: string): Numbered<readonly string[]> {
  return repeated(number, jsonName, {
    write: (out, value) => wire.writeTexts(out, number, value),
    parse: wire.asText,
  });
}

/** Written packed. Read packed, or with one value per field. */
export function intList(number: number): Numbered<readonly number[]> {
  return repeated(number, undefined, {
    write: (out, value) => {
      if (value.length > 0) out.writePackedVarint(number, [...value]);
    },
    parse: wire.asInts,
  });
}

export function bytesList(number: number): Field<readonly Uint8Array[]> {
  return repeated<Uint8Array>(number, undefined, {
    write: (out, value) => {
      for (const item of value) out.writeBytesField(number, item);
    },
    parse: wire.asBytes,
  });
}

export function messageList<T>(number: number, of: Message<T>): Numbered<readonly T[]> {
  return repeated<T>(number, undefined, {
    write: (out, value) => {
      for (const item of value) wire.writeMessage(out, number, of.write, item);
    },
    // In a list of its own, as a value that is a list is not one of its items.
    parse: (field) => [of.read(wire.asBytes(field))],
    json: of.json,
  });
}

/** A nested message. One that is not there is read as an empty one, except by `optionalField`. */
export function messageField<T>(number: number, of: Message<T>, jsonName?: string): Numbered<T> {
  return {
    number,
    jsonName,
    write: (out, value) => wire.writeMessage(out, number, of.write, value),
    read: (found) => {
      const field = lastOf(found, number);
      return of.read(field ? wire.asBytes(field) : new Uint8Array());
    },
    isEmpty: () => false,
    json: of.json,
  };
}

/** A map with string keys. `value` is the field of an entry that has the value. */
export function mapField<T>(number: number, value: Field<T>): Field<Readonly<Record<string, T>>> {
  return {
    jsonName: undefined,
    write: (out, entries) => wire.writeMap(out, number, entries, value.write),
    read: (found) => {
      const entries = allOf(found, number).map((field) => wire.allFields(wire.asBytes(field)));
      return Object.fromEntries(entries.map((entry) => [MAP_KEY.read(entry), value.read(entry)]));
    },
    json: (entries) => {
      const shown = Object.entries(entries).map(([key, item]) => [key, value.json(item)]);
      return shown.length > 0 ? Object.fromEntries(shown) : undefined;
    },
  };
}

const MAP_KEY = textField(1);

/** A set of names, which is a map from each of them to true. Read in order. */
export function nameSet(number: number): Field<readonly string[]> {
  const entries = mapField(number, flagField(2));
  return {
    write: (out, names) =>
      entries.write(out, Object.fromEntries(names.map((name) => [name, true]))),
    read: (found) => Object.keys(entries.read(found)).sort(),
    jsonName: undefined,
    json: (names) => (names.length > 0 ? names : undefined),
  };
}

/** The value of an entry of a map of texts, which is written even if it is empty. */
export const MAP_TEXT: Field<string> = {
  ...alwaysInJson(textField(2)),
  write: (out, value) => wire.writeTextAlways(out, 2, value),
};

/**
 * A oneof, for a union such as `{ kind: 'copy', copy: … } | { kind: 'rm', rm: … }`. The last member
 * that a message has counts. Undefined when it has none.
 */
export function oneofField<T extends { readonly kind: string }>(
  table: {
    readonly [kind in T['kind']]: Numbered<Member<T, kind>>;
  },
  jsonName: string,
): Field<T | undefined> {
  const kinds = Object.entries(table) as [T['kind'], Numbered<unknown>][];
  const kindOf = new Map(kinds.map(([kind, { number }]) => [number, kind]));
  const memberOf = (value: T) => (value as Record<string, unknown>)[value.kind];
  return {
    write: (out, value) => {
      if (value) table[value.kind as T['kind']].write(out, memberOf(value) as never);
    },
    read: (found) => {
      const last = found.findLast((field) => kindOf.has(field.number));
      const kind = last && kindOf.get(last.number);
      return kind && ({ kind, [kind]: table[kind].read(found) } as unknown as T);
    },
    jsonName,
    json: (value) =>
      value && { [value.kind]: table[value.kind as T['kind']].json(memberOf(value) as never) },
  };
}

type Member<T, Kind extends string> =
  Extract<T, { readonly kind: Kind }> extends {
    readonly [name in Kind]: infer Value;
  }
    ? Value
    : never;
