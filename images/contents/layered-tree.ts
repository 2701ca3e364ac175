import { KilnError } from '../../base/errors.ts';
import { grown, Names, Slots } from './names.ts';

/** The types of entries, as numbers. `gone` means that the path does not exist from here on. */
export const TYPE = {
  gone: 0,
  file: 1,
  directory: 2,
  symlink: 3,
  char: 4,
  block: 5,
  fifo: 6,
} as const;
export type TypeNumber = (typeof TYPE)[keyof typeof TYPE];

/** Marks of an entry. */
export const MARK = {
  /** A further name of a file: `target` is the entry that has its bytes. */
  hardLink: 1,
  /** The directory hides what lower layers have under its name. */
  opaque: 2,
  /** Not told by the layer itself: a parent that it does not list, or what a removal hides. */
  implied: 4,
} as const;

export interface Facts {
  readonly type: TypeNumber;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of a file's content. */
  readonly size: number;
  /** Seconds since 1970. */
  readonly modified: number;
  /** A number of `names` for a symlink, `packedDevice` for a device. */
  readonly target: number;
}

/** The top of the tree. */
export const TOP = 0;
const NONE = -1;
/** With this many entries the tree takes about 600 MB. */
const MOST_ENTRIES = 8_000_000;
/** As in Linux (MAXSYMLINKS). */
const MOST_LINKS = 40;
const IMPLIED: Facts = {
  type: TYPE.directory,
  mode: 0o755,
  uid: 0,
  gid: 0,
  size: 0,
  modified: 0,
  target: 0,
};

/** The number of a device, of 12 bits for the major number and 20 for the minor one. */
export function packedDevice(major: number, minor: number): number {
  return (major << 20) | minor;
}

/**
 * # The files of a stack of layers
 *
 * Each path of any layer is a *node*. What a layer says of a path is an *entry*: a file, a
 * directory, or that the path is gone. The entries of a node are linked, the latest first. What a
 * removed directory had in it gets entries, too, so that one look at its own entries says whether a
 * path exists after a layer.
 *
 * Both are numbers, and all that is known of them is in typed arrays: 62 bytes for a path that one
 * layer has. A node has a higher number than its parent.
 *
 * Layers are told from the lowest on: `begin`, what is in it in any order, `end`.
 */
export class LayeredTree {
  readonly names = new Names();
  readonly #slots = new Slots();
  #nodes = 0;
  #parent = new Int32Array(1024);
  #name = new Int32Array(1024);
  #firstChild = new Int32Array(1024);
  #nextSibling = new Int32Array(1024);
  #latest = new Int32Array(1024);
  #entries = 0;
  #node = new Int32Array(1024);
  #previous = new Int32Array(1024);
  #layer = new Uint16Array(1024);
  #type = new Uint8Array(1024);
  #marks = new Uint8Array(1024);
  #mode = new Uint16Array(1024);
  #uid = new Uint32Array(1024);
  #gid = new Uint32Array(1024);
  #size = new Float64Array(1024);
  #modified = new Float64Array(1024);
  #target = new Int32Array(1024);
  #current = -1;
  /** The number of the first entry of each layer, and of one more. */
  readonly #starts: number[] = [0];
  #whiteouts: number[] = [];
  #opaques: number[] = [];

  constructor() {
    this.#addNode(NONE, this.names.id(''));
  }

  get layers(): number {
    return this.#current + 1;
  }

  get nodes(): number {
    return this.#nodes;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Begins the next layer. Returns its index. */
  begin(): number {
    return ++this.#current;
  }

  /** Ends the layer: what it hides is now gone. */
  end(): void {
    const start = this.#starts[this.#current]!;
    const end = this.#entries;
    for (let entry = start; entry < end; entry++)
      if (this.#type[entry] !== TYPE.directory && this.#isDirectory(this.#below(entry)))
        this.#hide(this.#node[entry]!);
    for (const node of this.#opaques) this.#hide(node);
    for (const node of this.#whiteouts) this.#remove(node);
    this.#whiteouts = [];
    this.#opaques = [];
    this.#starts.push(this.#entries);
  }

  /** Takes back what was told of the layer since `begin`, and ends it as an empty one. */
  abandon(): void {
    const start = this.#starts[this.#current]!;
    for (let entry = this.#entries - 1; entry >= start; entry--)
      this.#latest[this.#node[entry]!] = this.#previous[entry]!;
    this.#entries = start;
    this.#whiteouts = [];
    this.#opaques = [];
    this.#starts.push(start);
  }

  /** The node of `name` in `parent`, made if it is new. */
  child(parent: number, name: string): number {
    const id = this.names.id(name);
    const found = this.#find(parent, id);
    return found >= 0 ? found : this.#addNode(parent, id);
  }

  /**
   * The node of a directory by its path, made if it is new. Symlinks on the way are followed as far
   * as they are told already, as an unpacking program does: never above the root.
   */
  directoryAt(path: readonly string[]): number {
    const rest = [...path].reverse();
    let node = TOP;
    let links = 0;
    for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
      if (name === '' || name === '.') continue;
      if (name === '..') {
        node = Math.max(TOP, this.#parent[node]!);
        continue;
      }
      const next = this.child(node, name);
      const entry = this.#latest[next]!;
      if (entry < 0 || this.#type[entry] !== TYPE.symlink || ++links > MOST_LINKS) {
        node = next;
        continue;
      }
      const target = this.names.text(this.#target[entry]!);
      if (target.startsWith('/')) node = TOP;
      rest.push(...target.split('/').reverse());
    }
    return node;
  }

  /** What the layer has at `node`. A later call replaces an earlier one. Returns the entry. */
  put(node: number, facts: Facts, marks = 0): number {
    if (node !== TOP) this.#imply(this.#parent[node]!);
    const there = this.#latest[node]!;
    const isAgain = there >= 0 && this.#layer[there] === this.#current;
    const entry = isAgain ? there : this.#addEntry(node);
    if (isAgain && this.#isDirectory(there) && facts.type !== TYPE.directory) this.#drop(node);
    this.#type[entry] = facts.type;
    this.#marks[entry] = marks;
    this.#mode[entry] = facts.mode;
    this.#uid[entry] = facts.uid;
    this.#gid[entry] = facts.gid;
    this.#size[entry] = facts.size;
    this.#modified[entry] = facts.modified;
    this.#target[entry] = facts.target;
    return entry;
  }

  /** The layer has at `node` another name of the file that `owner` stands for. */
  putLink(node: number, owner: number): void {
    const first = this.ownerOf(owner);
    if (this.#node[first] === node) return;
    this.put(
      node,
      {
        type: this.typeOf(first),
        mode: this.#mode[first]!,
        uid: this.#uid[first]!,
        gid: this.#gid[first]!,
        size: 0,
        modified: this.#modified[first]!,
        target: first,
      },
      MARK.hardLink,
    );
  }

  /** The layer hides what lower layers have at `node`. */
  whiteout(node: number): void {
    this.#whiteouts.push(node);
  }

  /** The layer hides what lower layers have in the directory `node`. */
  opaque(node: number): void {
    this.#imply(node);
    const entry = this.#latest[node]!;
    if (entry >= 0) this.#marks[entry] = this.#marks[entry]! | MARK.opaque;
    this.#opaques.push(node);
  }

  /** The node at `path`, or -1. */
  find(path: string): number {
    let node = TOP;
    for (const name of path.split('/')) {
      if (name === '') continue;
      const id = this.names.find(name);
      if (id < 0) return NONE;
      node = this.#find(node, id);
      if (node < 0) return node;
    }
    return node;
  }

  /** The parent of a node; -1 for the root. */
  parentOf(node: number): number {
    return this.#parent[node]!;
  }

  nameOf(node: number): string {
    return this.names.text(this.#name[node]!);
  }

  /** The number of the name in `names`. */
  nameIdOf(node: number): number {
    return this.#name[node]!;
  }

  /** Without a leading slash; '' for the root. */
  pathOf(node: number): string {
    const parts: string[] = [];
    for (let at = node; at > TOP; at = this.#parent[at]!) parts.push(this.nameOf(at));
    return parts.reverse().join('/');
  }

  /** All nodes whose parent is `node`, in no order. */
  *childrenOf(node: number): Generator<number, void> {
    for (let at = this.#firstChild[node]!; at >= 0; at = this.#nextSibling[at]!) yield at;
  }

  /** The latest entry of a node in the layers up to `layer`, or -1. */
  entryAt(node: number, layer: number): number {
    let entry = this.#latest[node]!;
    while (entry >= 0 && this.#layer[entry]! > layer) entry = this.#previous[entry]!;
    return entry;
  }

  latestOf(node: number): number {
    return this.#latest[node]!;
  }

  /** The entry of the same path in a lower layer, or -1. */
  previousOf(entry: number): number {
    return this.#previous[entry]!;
  }

  nodeOf(entry: number): number {
    return this.#node[entry]!;
  }

  layerOf(entry: number): number {
    return this.#layer[entry]!;
  }

  typeOf(entry: number): TypeNumber {
    return this.#type[entry]! as TypeNumber;
  }

  has(entry: number, mark: number): boolean {
    return (this.#marks[entry]! & mark) !== 0;
  }

  factsOf(entry: number): Facts {
    return {
      type: this.typeOf(entry),
      mode: this.#mode[entry]!,
      uid: this.#uid[entry]!,
      gid: this.#gid[entry]!,
      size: this.#size[entry]!,
      modified: this.#modified[entry]!,
      target: this.#target[entry]!,
    };
  }

  /** The bytes that the entry itself brings; 0 for a further name of a file. */
  sizeOf(entry: number): number {
    return this.#size[entry]!;
  }

  /** The entry that has the bytes of a file: itself, or the first of its hard links. */
  ownerOf(entry: number): number {
    return this.has(entry, MARK.hardLink) ? this.#target[entry]! : entry;
  }

  /** True when the path exists. `entry` may be -1. */
  isThere(entry: number): boolean {
    return entry >= 0 && this.#type[entry] !== TYPE.gone;
  }

  /** True when two entries of one path say the same. Times of directories do not count. */
  isSame(a: number, b: number): boolean {
    return (
      this.#type[a] === this.#type[b] &&
      this.#mode[a] === this.#mode[b] &&
      this.#uid[a] === this.#uid[b] &&
      this.#gid[a] === this.#gid[b] &&
      this.#target[a] === this.#target[b]
    );
  }

  /** The first entry of a layer, and the one after its last. */
  entriesOf(layer: number): readonly [start: number, end: number] {
    return [this.#starts[layer]!, this.#starts[layer + 1]!];
  }

  /** What lower layers say of the path of an entry of the current layer; -1 for nothing. */
  #below(entry: number): number {
    return this.#previous[entry]!;
  }

  #isDirectory(entry: number): boolean {
    return entry >= 0 && this.#type[entry] === TYPE.directory;
  }

  /** Gives a directory that the layer does not list an entry in it. */
  #imply(directory: number): void {
    for (let node = directory; node >= TOP; node = this.#parent[node]!) {
      const there = this.#latest[node]!;
      if (there >= 0 && this.#layer[there] === this.#current) {
        if (this.#type[there] === TYPE.directory) return;
        // A file with files in it: the archive contradicts itself, and the last word counts.
        this.#type[there] = TYPE.directory;
        this.#size[there] = 0;
        this.#marks[there] = MARK.implied;
        return;
      }
      const facts = this.#isDirectory(there) ? this.factsOf(there) : IMPLIED;
      const entry = this.#addEntry(node);
      this.#type[entry] = TYPE.directory;
      this.#marks[entry] = MARK.implied;
      this.#mode[entry] = facts.mode;
      this.#uid[entry] = facts.uid;
      this.#gid[entry] = facts.gid;
      this.#size[entry] = 0;
      this.#modified[entry] = facts.modified;
      this.#target[entry] = 0;
    }
  }

  #remove(node: number): void {
    const there = this.#latest[node]!;
    if (there >= 0 && this.#layer[there] === this.#current) {
      // A file of the layer itself stays. A directory of it shows nothing from below.
      if (this.#type[there] !== TYPE.directory) return;
      this.#marks[there] = this.#marks[there]! | MARK.opaque;
      this.#hide(node);
      return;
    }
    if (!this.isThere(there)) return;
    const isDirectory = this.#isDirectory(there);
    this.#imply(this.#parent[node]!);
    this.#gone(node, 0);
    if (isDirectory) this.#hide(node);
  }

  /** What lower layers have below a node is gone, but not the node itself. */
  #hide(top: number): void {
    const todo = [top];
    for (let node = todo.pop(); node !== undefined; node = todo.pop())
      for (let at = this.#firstChild[node]!; at >= 0; at = this.#nextSibling[at]!) {
        const entry = this.#latest[at]!;
        if (entry < 0) continue;
        const isOwn = this.#layer[entry] === this.#current;
        const below = isOwn ? this.#below(entry) : entry;
        if (!isOwn && this.isThere(entry)) this.#gone(at, MARK.implied);
        if (this.#isDirectory(below)) todo.push(at);
      }
  }

  /** What the layer itself has told below a node is no longer so: a later entry replaces it. */
  #drop(top: number): void {
    const todo = [top];
    for (let node = todo.pop(); node !== undefined; node = todo.pop())
      for (let at = this.#firstChild[node]!; at >= 0; at = this.#nextSibling[at]!) {
        const entry = this.#latest[at]!;
        if (entry < 0 || this.#layer[entry] !== this.#current) continue;
        this.#type[entry] = TYPE.gone;
        this.#marks[entry] = MARK.implied;
        this.#size[entry] = 0;
        todo.push(at);
      }
  }

  #gone(node: number, marks: number): void {
    const entry = this.#addEntry(node);
    this.#type[entry] = TYPE.gone;
    this.#marks[entry] = marks;
    this.#size[entry] = 0;
  }

  #find(parent: number, name: number): number {
    return this.#slots.find(
      hashOf(parent, name),
      (node) => this.#parent[node] === parent && this.#name[node] === name,
    );
  }

  #addNode(parent: number, name: number): number {
    const node = this.#nodes++;
    if (node === MOST_ENTRIES) throw tooMany();
    if (node === this.#parent.length) {
      this.#parent = grown(this.#parent, Int32Array);
      this.#name = grown(this.#name, Int32Array);
      this.#firstChild = grown(this.#firstChild, Int32Array);
      this.#nextSibling = grown(this.#nextSibling, Int32Array);
      this.#latest = grown(this.#latest, Int32Array);
    }
    this.#parent[node] = parent;
    this.#name[node] = name;
    this.#firstChild[node] = NONE;
    this.#latest[node] = NONE;
    this.#nextSibling[node] = parent < 0 ? NONE : this.#firstChild[parent]!;
    if (parent < 0) return node;
    this.#firstChild[parent] = node;
    this.#slots.put(hashOf(parent, name), node);
    return node;
  }

  #addEntry(node: number): number {
    const entry = this.#entries++;
    if (entry === MOST_ENTRIES) throw tooMany();
    if (entry === this.#node.length) {
      this.#node = grown(this.#node, Int32Array);
      this.#previous = grown(this.#previous, Int32Array);
      this.#layer = grown(this.#layer, Uint16Array);
      this.#type = grown(this.#type, Uint8Array);
      this.#marks = grown(this.#marks, Uint8Array);
      this.#mode = grown(this.#mode, Uint16Array);
      this.#uid = grown(this.#uid, Uint32Array);
      this.#gid = grown(this.#gid, Uint32Array);
      this.#size = grown(this.#size, Float64Array);
      this.#modified = grown(this.#modified, Float64Array);
      this.#target = grown(this.#target, Int32Array);
    }
    this.#node[entry] = node;
    this.#previous[entry] = this.#latest[node]!;
    this.#layer[entry] = this.#current;
    this.#latest[node] = entry;
    return entry;
  }
}

function hashOf(parent: number, name: number): number {
  return Math.imul(parent, 0x9e3779b1) ^ name;
}

function tooMany(): KilnError {
  return new KilnError(
    'KILN_LAYER_LIMIT',
    `the layers of the image have more than ${MOST_ENTRIES} entries`,
  );
}
