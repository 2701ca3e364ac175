import { PbfWriter } from 'pbf';
import { KilnError } from '../../base/errors.ts';

/**
 * The protobuf wire format (protobuf.dev, "Encoding") with proto3 rules, as far as LLB needs it.
 * pbf does the writing. Reading is our own, because a definition may come from anywhere and pbf's
 * reader runs past the end of a truncated message.
 */

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/**
 * What is used of pbf's writer. It has a type of its own because declarations of the package refer
 * to it, and pbf is not a dependency of the package.
 */
export interface MessageWriter {
  buf: Uint8Array;
  pos: number;
  realloc(min: number): void;
  writeTag(field: number, type: number): void;
  writeVarint(value: number): void;
  writeBooleanField(field: number, value: boolean): void;
  writeStringField(field: number, value: string): void;
  writeBytesField(field: number, value: Uint8Array): void;
  writePackedVarint(field: number, values: number[]): void;
  writeMessage<T>(field: number, write: (value: T, out: MessageWriter) => void, value: T): void;
}

/** The bytes of a message, without a tag around them. */
export function encode(write: (out: MessageWriter) => void): Uint8Array {
  const out = new PbfWriter();
  write(out);
  return out.finish();
}

/**
 * Writes an int32, int64, uint32 or enum field, unless it is zero. Negative values take ten bytes,
 * as 64-bit two's complement.
 */
export function writeInt(
  out: MessageWriter,
  field: number,
  value: number | bigint | undefined,
): void {
  if (value === undefined || value === 0 || value === 0n) return;
  writeIntAlways(out, field, value);
}

/** Like `writeInt`, but also writes a zero, as a member of a oneof requires. */
export function writeIntAlways(out: MessageWriter, field: number, value: number | bigint): void {
  out.writeTag(field, VARINT);
  writeVarint(out, value);
}

function writeVarint(out: MessageWriter, value: number | bigint): void {
  if (typeof value === 'number' && value >= 0 && value <= 0xfffffff) {
    out.writeVarint(value);
    return;
  }
  // pbf converts to doubles, which cannot hold a time in nanoseconds exactly.
  let rest = BigInt.asUintN(64, BigInt(value));
  out.realloc(10);
  while (rest > 0x7fn) {
    out.buf[out.pos++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  out.buf[out.pos++] = Number(rest);
}

export function writeBool(out: MessageWriter, field: number, value: boolean | undefined): void {
  if (value) out.writeBooleanField(field, true);
}

export function writeText(out: MessageWriter, field: number, value: string | undefined): void {
  if (value) out.writeStringField(field, value);
}

/**
 * Writes a string even if it is empty: an element of a repeated field, or a key or value of a map.
 */
export function writeTextAlways(out: MessageWriter, field: number, value: string): void {
  out.writeStringField(field, value);
}

export function writeTexts(
  out: MessageWriter,
  field: number,
  values: readonly string[] | undefined,
): void {
  for (const value of values ?? []) out.writeStringField(field, value);
}

export function writeBytes(out: MessageWriter, field: number, value: Uint8Array | undefined): void {
  if (value && value.length > 0) out.writeBytesField(field, value);
}

/** Writes a nested message, even if it is empty. Writes nothing if `value` is undefined. */
export function writeMessage<T>(
  out: MessageWriter,
  field: number,
  write: (out: MessageWriter, value: T) => void,
  value: T | undefined,
): void {
  if (value !== undefined)
    out.writeMessage(field, (inside: T, inner: MessageWriter) => write(inner, inside), value);
}

/**
 * Writes a map with string keys, in the order of their UTF-8 bytes, as Go's deterministic
 * marshalling does.
 */
export function writeMap<T>(
  out: MessageWriter,
  field: number,
  map: Readonly<Record<string, T>> | undefined,
  writeValue: (out: MessageWriter, value: T) => void,
): void {
  for (const key of Object.keys(map ?? {}).sort(compareUtf8)) {
    const value = (map as Readonly<Record<string, T>>)[key] as T;
    writeMessage(
      out,
      field,
      (entry) => {
        writeTextAlways(entry, 1, key);
        writeValue(entry, value);
      },
      value,
    );
  }
}

/**
 * Compares strings by their UTF-8 bytes, as Go does. JavaScript compares UTF-16 units, which gives
 * another order for surrogates and code units from U+E000.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? surrogatesLast(x) - surrogatesLast(y) : x - y;
  }
  return a.length - b.length;
}

/** Maps a UTF-16 unit so that surrogates sort after all other units, as they do in UTF-8. */
function surrogatesLast(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

/** One field of a message that is being read. */
export interface WireField {
  readonly number: number;
  /** The integer of a varint field, else undefined. A bigint if it takes more than 4 bytes. */
  readonly int: number | bigint | undefined;
  /** The content of a length-delimited field, else undefined. */
  readonly bytes: Uint8Array | undefined;
}

/**
 * The fields of a message in order. Fixed-size fields, which LLB does not have, are skipped. Throws
 * KILN_LLB_MALFORMED if the bytes are not well-formed protobuf.
 */
export function* readFields(message: Uint8Array): Generator<WireField> {
  const cursor: Cursor = { message, at: 0 };
  for (let field = nextField(cursor); field; field = nextField(cursor)) yield field;
}

/** All that `readFields` yields, in less time. */
export function allFields(message: Uint8Array): WireField[] {
  const cursor: Cursor = { message, at: 0 };
  const fields: WireField[] = [];
  for (let field = nextField(cursor); field; field = nextField(cursor)) fields.push(field);
  return fields;
}

/** A message, and the place in it up to which it is read. */
interface Cursor {
  readonly message: Uint8Array;
  at: number;
}

/** Undefined at the end of the message. */
function nextField(cursor: Cursor): WireField | undefined {
  while (cursor.at < cursor.message.length) {
    const tag = Number(varint(cursor));
    const number = Math.floor(tag / 8);
    if (number < 1 || number > 0x1fffffff)
      throw malformedGraph(`field number ${number} is out of range`);
    switch (tag % 8) {
      case VARINT:
        return { number, int: varint(cursor), bytes: undefined };
      case BYTES:
        return { number, int: undefined, bytes: take(cursor, Number(varint(cursor))) };
      case FIXED64:
        take(cursor, 8);
        break;
      case FIXED32:
        take(cursor, 4);
        break;
      default:
        throw malformedGraph('a field has an unknown wire type');
    }
  }
  return undefined;
}

/** An unsigned integer: a number if it takes at most 4 bytes, as bigints are slow. */
function varint(cursor: Cursor): number | bigint {
  const { message } = cursor;
  let small = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = message[cursor.at++];
    if (byte === undefined) throw malformedGraph('a number is cut off');
    small |= (byte & 0x7f) << shift;
    if (byte < 0x80) return small;
  }
  let value = BigInt(small);
  for (let shift = 28n; shift < 70n; shift += 7n) {
    const byte = message[cursor.at++];
    if (byte === undefined) throw malformedGraph('a number is cut off');
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  throw malformedGraph('a number is longer than ten bytes');
}

function take(cursor: Cursor, length: number): Uint8Array {
  const { message, at } = cursor;
  if (length > message.length - at) throw malformedGraph('a field is longer than its message');
  cursor.at = at + length;
  return message.subarray(at, cursor.at);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The UTF-8 text of a field. This and the functions below throw KILN_LLB_MALFORMED for another
 * type.
 */
export function asText(field: WireField): string {
  let text: string;
  try {
    text = utf8.decode(asBytes(field));
  } catch (cause) {
    if (cause instanceof KilnError) throw cause;
    throw malformedGraph(`field ${field.number} is not UTF-8 text`);
  }
  // No path, argument or name can have it.
  if (text.includes('\0')) throw malformedGraph(`field ${field.number} contains a NUL byte`);
  return text;
}

export function asBytes(field: WireField): Uint8Array {
  if (field.bytes === undefined) throw malformedGraph(`field ${field.number} has the wrong type`);
  return field.bytes;
}

/** A signed 64-bit integer. Throws KILN_LLB_MALFORMED if a number cannot hold it exactly. */
export function asInt(field: WireField): number {
  if (typeof field.int === 'number') return field.int;
  const value = asBigInt(field);
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER))
    throw malformedGraph(`field ${field.number} is too large`);
  return Number(value);
}

export function asBigInt(field: WireField): bigint {
  if (field.int === undefined) throw malformedGraph(`field ${field.number} has the wrong type`);
  return BigInt.asIntN(64, BigInt(field.int));
}

/** The integers of a repeated field, which is either packed or has one value per field. */
export function asInts(field: WireField): number[] {
  if (field.bytes === undefined) return [asInt(field)];
  const values: number[] = [];
  let value = 0n;
  let shift = 0n;
  for (const byte of field.bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (shift > 70n) throw malformedGraph('a number is longer than ten bytes');
    if (byte >= 0x80) continue;
    values.push(Number(BigInt.asIntN(32, value)));
    value = 0n;
    shift = 0n;
  }
  if (shift !== 0n) throw malformedGraph('a number is cut off');
  return values;
}

export function asBool(field: WireField): boolean {
  if (typeof field.int === 'number') return field.int !== 0;
  return asBigInt(field) !== 0n;
}

/** The KILN_LLB_MALFORMED error; `what` is the end of its sentence. */
export function malformedGraph(what: string): KilnError {
  return new KilnError('KILN_LLB_MALFORMED', `the build graph is not well-formed: ${what}`);
}
