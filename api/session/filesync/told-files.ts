import { compareUtf8 } from '../../../solver/llb/wire.ts';
import {
  FILE_STATE,
  isPacketAt,
  type KnownFiles,
  newVersion,
  packetAt,
  toldAt,
} from './known-files.ts';
import { type FileStat, readPacket } from './packet.ts';

/** A file that was known before, and its place among those that were. */
export interface KnownFile {
  readonly index: number;
  readonly stat: FileStat;
}

/**
 * The files that a client tells, beside those that were known before. Both are in one order, so
 * they are compared like the two sides of a merge. As long as the client tells what it told the
 * last time, this costs a comparison of bytes for each file.
 */
export class ToldFiles {
  readonly #before: KnownFiles;
  /** The first file of before that is not told yet. */
  #at = 0;
  /** What #at tells, when it is decoded. */
  #next: FileStat | undefined;
  /** The last file that was told was the one before #at. */
  #isInStep = true;
  readonly #states: number[] = [];
  /** The places in #before. -1 for a packet in #own. */
  readonly #places: number[] = [];
  readonly #own = new Map<number, Uint8Array>();
  #hasNewStates = false;

  constructor(before: KnownFiles) {
    this.#before = before;
  }

  /** True when one of the files of before was another name of a file. */
  get hadNames(): boolean {
    return this.#before.states.includes(FILE_STATE.name);
  }

  get count(): number {
    return this.#states.length;
  }

  /**
   * Adds the file when it is told exactly as before, right after the one that came before it then.
   * Such a file is in order, as it was then. Undefined for any other, and for one whose content has
   * to be asked for. Otherwise answers its state.
   */
  recognize(packet: Uint8Array): number | undefined {
    const at = this.#at;
    if (!this.#isInStep || at === this.#before.count) return undefined;
    const state = this.#before.states[at]!;
    if (state === FILE_STATE.asked || !isPacketAt(this.#before, at, packet)) return undefined;
    this.#places.push(at);
    this.#states.push(state);
    this.#at++;
    this.#next = undefined;
    return state;
  }

  /**
   * Finds the file of the same path that was known before, and passes those in front of it, which
   * are gone, to `gone`. Without a `stat` all the others are gone.
   */
  meet(stat: FileStat | undefined, gone: (known: FileStat) => void): KnownFile | undefined {
    for (; this.#at < this.#before.count; this.#next = undefined) {
      this.#next ??= toldAt(this.#before, this.#at);
      const known = this.#next;
      const order = stat ? comparePaths(known.path, stat.path) : -1;
      if (order > 0) break;
      this.#at++;
      if (order < 0) {
        gone(known);
        continue;
      }
      this.#next = undefined;
      return { index: this.#at - 1, stat: known };
    }
    return undefined;
  }

  /** Adds a file that `meet` was called for. Answers its number in the order of the client. */
  add(packet: Uint8Array, known: KnownFile | undefined, state: number): number {
    const isSame = known !== undefined && isPacketAt(this.#before, known.index, packet);
    const id = this.#states.push(state) - 1;
    this.#places.push(isSame ? known.index : -1);
    if (!isSame) this.#own.set(id, packet);
    else if (this.#before.states[known.index] !== state) this.#hasNewStates = true;
    this.#isInStep = isSame;
    return id;
  }

  stateBefore({ index }: KnownFile): number {
    return this.#before.states[index]!;
  }

  setState(id: number, state: number): void {
    if (this.#states[id] === state) return;
    this.#states[id] = state;
    this.#hasNewStates = true;
  }

  state(id: number): number {
    return this.#states[id]!;
  }

  stat(id: number): FileStat {
    return readPacket(this.#packet(id)).stat!;
  }

  /** True when exactly the same was told of this file before. */
  isToldAsBefore(id: number): boolean {
    return this.#places[id] !== -1;
  }

  /**
   * The list of what is told now. `isChanged` says that the copy is another one. Undefined when the
   * list is the one of before.
   */
  list(isChanged: boolean): KnownFiles | undefined {
    const { count } = this;
    const isSame = this.#own.size === 0 && count === this.#before.count && !this.#hasNewStates;
    if (isSame && !isChanged) return undefined;
    const packets = Array.from({ length: count }, (_, id) => this.#packet(id));
    const ends = new Uint32Array(count);
    let end = 0;
    for (const [id, packet] of packets.entries()) ends[id] = end += packet.byteLength;
    return {
      count,
      version: isChanged ? newVersion() : this.#before.version,
      states: Uint8Array.from(this.#states),
      ends,
      packets: Buffer.concat(packets),
    };
  }

  #packet(id: number): Uint8Array {
    const place = this.#places[id]!;
    return place === -1 ? this.#own.get(id)! : packetAt(this.#before, place);
  }
}

/** The order in which a client tells its files: what is in a directory comes right after it. */
export function comparePaths(a: string, b: string): number {
  // The end of a name sorts before all that a name can have.
  return compareUtf8(a.replaceAll('/', '\0'), b.replaceAll('/', '\0'));
}
