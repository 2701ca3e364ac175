import { didYouMean } from '../../base/suggest.ts';
import { CACHE_SHARING } from '../../solver/llb/mount.ts';
import type { MountFlag } from '../instructions.ts';
import { parseBool, parseUint32 } from './goformat.ts';
import { MOUNT_TYPES } from './mount-types.ts';
import { parseSize } from './parse-size.ts';
import { mountError, type ParsedMount, type SpecialFields } from './parsed-mount.ts';

type Change = Partial<Omit<ParsedMount, 'raw'>>;

const source = (value: FieldValue): Change => ({ source: value.text() });
const target = (value: FieldValue): Change => ({ target: value.text() });
const readonly = (value: FieldValue): Change => ({ readonly: value.flag() });
const readwrite = (value: FieldValue): Change => ({ readonly: !value.flag() });

/** Every field of `--mount`, under each of its names, and what it sets. */
const FIELDS: Readonly<Record<string, (value: FieldValue) => Change>> = {
  type: (value) => ({ type: value.oneOf('mount type', MOUNT_TYPES) }),
  from: (value) => ({ from: value.text() }),
  source,
  src: source,
  target,
  dst: target,
  destination: target,
  readonly,
  ro: readonly,
  readwrite,
  rw: readwrite,
  id: (value) => ({ id: value.text() }),
  sharing: (value) => ({ sharing: value.oneOf('sharing', CACHE_SHARING) }),
  required: (value) => ({ required: value.flag() }),
  mode: (value) => ({ mode: value.number(8) }),
  uid: (value) => ({ uid: value.number(10) }),
  gid: (value) => ({ gid: value.number(10) }),
  size: (value) => ({ size: value.size() }),
  env: (value) => ({ env: value.text() }),
};
const NAMES = Object.keys(FIELDS);

/** The fields that BuildKit refuses where they stand when the type is not known by then. */
const AFTER_TYPE: ReadonlySet<string> = new Set<keyof SpecialFields>(['required', 'size']);
/** The fields that it refuses at the end, in the order of its checks. */
const AT_END = ['mode', 'uid', 'gid', 'env', 'sharing'] as const satisfies (keyof SpecialFields)[];

/** Expands the values of a flag and checks them. `from` is expanded elsewhere. */
export function readMount(flag: MountFlag, expand: (text: string) => string): ParsedMount {
  const spec: ParsedMount = {
    raw: flag.raw,
    type: 'bind',
    from: '',
    source: '',
    target: '',
    readonly: undefined,
    id: '',
    sharing: undefined,
    required: undefined,
    mode: undefined,
    uid: undefined,
    gid: undefined,
    size: undefined,
    env: undefined,
  };
  for (const field of flag.fields) {
    const { key } = field;
    if (!Object.hasOwn(FIELDS, key))
      throw mountError(
        spec,
        `${key} is not known${didYouMean(key, NAMES)}`,
        `write one of ${NAMES.join(', ')}`,
      );
    if (AFTER_TYPE.has(key)) mustTake(spec, key as keyof SpecialFields);
    const text = key === 'from' || field.value === undefined ? field.value : expand(field.value);
    Object.assign(spec, FIELDS[key]!(new FieldValue(spec, key, text)));
  }
  for (const key of AT_END) if (spec[key] !== undefined) mustTake(spec, key);
  MOUNT_TYPES[spec.type].check?.(spec);
  return spec;
}

function mustTake(spec: ParsedMount, key: keyof SpecialFields): void {
  if (MOUNT_TYPES[spec.type].takes.includes(key)) return;
  const takers = Object.entries(MOUNT_TYPES).flatMap(([name, { takes }]) =>
    takes.includes(key) ? [name] : [],
  );
  const types = [takers.slice(0, -1).join(', '), ...takers.slice(-1)].filter(Boolean).join(' or ');
  throw mountError(
    spec,
    `${key} does not go with type ${spec.type}`,
    `${key} is for type=${types}, which has to be named before it`,
  );
}

/** The value of a field, undefined for a name alone, and what it is parsed as. */
class FieldValue {
  readonly #spec: ParsedMount;
  readonly #key: string;
  readonly #value: string | undefined;

  constructor(spec: ParsedMount, key: string, value: string | undefined) {
    this.#spec = spec;
    this.#key = key;
    this.#value = value;
  }

  text(): string {
    if (this.#value !== undefined) return this.#value;
    throw mountError(this.#spec, `${this.#key} needs a value`, `write ${this.#key}=…`);
  }

  flag(): boolean {
    const found = this.#value === undefined ? true : parseBool(this.#value);
    if (found !== undefined) return found;
    throw mountError(
      this.#spec,
      `${this.#key}=${this.#value} is neither true nor false`,
      `write ${this.#key} or ${this.#key}=false`,
    );
  }

  number(radix: 8 | 10): number {
    const found = parseUint32(this.text(), radix);
    if (found !== undefined) return found;
    throw mountError(
      this.#spec,
      `${this.#key}=${this.#value} is not ${radix === 8 ? 'an octal number' : 'a number'}`,
      radix === 8 ? 'write mode=0755' : `write ${this.#key}=1000: names are not known here`,
    );
  }

  /** A number of bytes. */
  size(): number {
    const size = parseSize(this.text());
    if (size !== undefined) return size;
    throw mountError(
      this.#spec,
      `size=${this.#value} is not a size`,
      'write a number of bytes, or one with k, m or g',
    );
  }

  /** One of the keys of `known`, in any case. */
  oneOf<T extends string>(what: string, known: Readonly<Record<T, unknown>>): T {
    const names = Object.keys(known) as T[];
    const found = names.find((name) => name === this.text().toLowerCase());
    if (found !== undefined) return found;
    throw mountError(
      this.#spec,
      `${what} ${this.text()} is not known${didYouMean(this.text(), names)}`,
      `write one of ${names.join(', ')}`,
    );
  }
}
