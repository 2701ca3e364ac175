import {
  type FieldCheck,
  type Invalid,
  integer,
  isObject,
  type Json,
  shown,
  text,
} from '../registry/json-fields.ts';

/*
 * More checks like those of `json-fields.ts`, for JSON that Kiln itself writes. Such JSON has every
 * field of its type, unless the field is optional.
 */

/** A check for each field of `T`. The compiler reports a field without one. */
type FormsOf<T> = { readonly [name in keyof T]-?: FieldCheck };

export const count: FieldCheck = (value, field, invalid) => {
  integer(value, field, invalid);
  if ((value as number) < 0) throw invalid(`${field} is ${shown(value)}, which is below 0`);
};

function objectAt(value: unknown, field: string, invalid: Invalid): Json {
  if (!isObject(value)) throw invalid(`${field} is ${shown(value)}, not an object`);
  return value;
}

export const object: FieldCheck = objectAt;

export function optional(check: FieldCheck): FieldCheck {
  return (value, field, invalid) => {
    if (value !== undefined) check(value, field, invalid);
  };
}

export function oneOf(...words: readonly string[]): FieldCheck {
  return (value, field, invalid) => {
    if (!(words as readonly unknown[]).includes(value))
      throw invalid(`${field} is ${shown(value)}, not one of ${words.join(', ')}`);
  };
}

/** A list of pairs of a name and a value, which stands for a map. */
export function pairsOf(check: FieldCheck): FieldCheck {
  return (value, field, invalid) => {
    if (!Array.isArray(value)) throw invalid(`${field} is ${shown(value)}, not a list`);
    for (const [index, pair] of value.entries()) {
      const place = `${field}[${index}]`;
      if (!Array.isArray(pair) || pair.length !== 2)
        throw invalid(`${place} is ${shown(pair)}, not a pair of a name and a value`);
      text(pair[0], `${place}[0]`, invalid);
      check(pair[1], `${place}[1]`, invalid);
    }
  };
}

/** An object that has all fields of `T`. */
export function fields<T>(forms: FormsOf<T>): FieldCheck {
  return (value, field, invalid) => {
    const given = objectAt(value, field, invalid);
    for (const [name, check] of Object.entries<FieldCheck>(forms))
      check(given[name], `${field}.${name}`, invalid);
  };
}

/** A union. The value of the field `tag` says which of `members` it is. */
export function union<Tag extends string, T extends { readonly [tag in Tag]: string }>(
  tag: Tag,
  members: {
    readonly [kind in T[Tag]]: FormsOf<Omit<Extract<T, { readonly [tag in Tag]: kind }>, Tag>>;
  },
): FieldCheck {
  const kinds = Object.keys(members);
  return (value, field, invalid) => {
    const kind = objectAt(value, field, invalid)[tag];
    oneOf(...kinds)(kind, `${field}.${tag}`, invalid);
    fields(members[kind as T[Tag]] as FormsOf<unknown>)(value, field, invalid);
  };
}
