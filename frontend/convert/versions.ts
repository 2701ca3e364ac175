/** The position of a name that is set again: the old one (`stays`), or the last (`moves`). */
export type Order = 'stays' | 'moves';

interface Entry<V> {
  readonly value: V;
  /** Orders the entries: the depth of the version that gave the name its position. */
  readonly rank: number;
  /** The depth of the version that set it. */
  readonly set: number;
  readonly bytes: number;
}

/** What all versions of one map share: the map in the state of one of them. */
interface Shared<V> {
  readonly order: Order;
  readonly map: Map<string, Entry<V>>;
  at: Versions<V>;
  /** The bytes of all entries of the map. */
  bytes: number;
  /**
   * The ordered entries of one version, because the same version is often listed several times in a
   * row.
   */
  listed:
    | { readonly version: Versions<V>; readonly entries: readonly (readonly [string, V])[] }
    | undefined;
}

/**
 * A map that never changes: `with` gives another version, which shares everything with this one.
 * Thousands of instructions each add a name, and stages continue from any of them. A copy for each
 * would take a time that grows with the square of the file.
 *
 * There is one map, in the state of one version. A query of another version changes the map to that
 * state, along the differences between the two (Baker's rerooting). Code that goes through a file
 * from top to bottom queries neighbours, so each step costs only its changes.
 */
export class Versions<V> implements Iterable<readonly [string, V]> {
  readonly #shared: Shared<V>;
  readonly #parent: Versions<V> | undefined;
  readonly #key: string;
  readonly #value: V | undefined;
  /** The name's entry before this version, while the map is at or below this one. */
  #before: Entry<V> | undefined;
  /** The number of names that were set up to this version. */
  readonly depth: number;

  private constructor(shared: Shared<V> | Order, parent?: Versions<V>, key = '', value?: V) {
    this.#shared =
      typeof shared === 'string'
        ? { order: shared, map: new Map(), at: this, bytes: 0, listed: undefined }
        : shared;
    this.#parent = parent;
    this.#key = key;
    this.#value = value;
    this.depth = parent ? parent.depth + 1 : 0;
  }

  static of<V>(order: Order, entries: Iterable<readonly [string, V]> = []): Versions<V> {
    return new Versions<V>(order).withAll(entries);
  }

  with(key: string, value: V): Versions<V> {
    return new Versions(this.#shared, this, key, value);
  }

  withAll(entries: Iterable<readonly [string, V]>): Versions<V> {
    let version: Versions<V> = this;
    for (const [key, value] of entries) version = version.with(key, value);
    return version;
  }

  get(key: string): V | undefined {
    return this.#here().get(key)?.value;
  }

  has(key: string): boolean {
    return this.#here().has(key);
  }

  /** True when the name was set after the ancestor version of this depth. */
  setSince(key: string, depth: number): boolean {
    return (this.#here().get(key)?.set ?? 0) > depth;
  }

  /** The bytes of the names, and of the values that are texts, in UTF-8. */
  get bytes(): number {
    this.#here();
    return this.#shared.bytes;
  }

  get size(): number {
    return this.#here().size;
  }

  /** In no order, for suggestions. */
  *names(): Generator<string> {
    yield* this.#here().keys();
  }

  /** In order. */
  entries(): readonly (readonly [string, V])[] {
    if (this.#shared.listed?.version === this) return this.#shared.listed.entries;
    const sorted = [...this.#here()].sort(([, a], [, b]) => a.rank - b.rank);
    const entries = sorted.map(([key, { value }]) => [key, value] as const);
    this.#shared.listed = { version: this, entries };
    return entries;
  }

  [Symbol.iterator](): Iterator<readonly [string, V]> {
    return this.entries()[Symbol.iterator]();
  }

  /** The map, changed to the state of this version. */
  #here(): ReadonlyMap<string, Entry<V>> {
    const shared = this.#shared;
    if (shared.at === this) return shared.map;
    const ahead: Versions<V>[] = [];
    let up: Versions<V> = this;
    let back = shared.at;
    while (up !== back) {
      if (up.depth > back.depth) {
        ahead.push(up);
        up = up.#parent!;
      } else {
        back.#undo();
        back = back.#parent!;
      }
    }
    for (let version = ahead.pop(); version; version = ahead.pop()) version.#redo();
    shared.at = this;
    return shared.map;
  }

  #redo(): void {
    const { map, order } = this.#shared;
    this.#before = map.get(this.#key);
    const rank = order === 'stays' && this.#before ? this.#before.rank : this.depth;
    const value = this.#value as V;
    const bytes =
      Buffer.byteLength(this.#key) + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
    map.set(this.#key, { value, rank, set: this.depth, bytes });
    this.#shared.bytes += bytes - (this.#before?.bytes ?? 0);
  }

  #undo(): void {
    const { map } = this.#shared;
    this.#shared.bytes += (this.#before?.bytes ?? 0) - (map.get(this.#key)?.bytes ?? 0);
    if (this.#before) map.set(this.#key, this.#before);
    else map.delete(this.#key);
    this.#before = undefined;
  }
}
