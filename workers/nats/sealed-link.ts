import type { KeyObject } from 'node:crypto';
import { Duplex } from 'node:stream';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import { type Frame, openFrame, sealFrame } from './frames.ts';

export interface LinkEnds {
  /** Where this side listens, and where the other does. */
  readonly own: string;
  readonly other: string;
  /** What this side seals with, and what the other does. */
  readonly ownKey: KeyObject;
  readonly otherKey: KeyObject;
}

/** A frame carries so many bytes: less than the largest message of any NATS server. */
const CHUNK = 128 << 10;
/** So many frames may be under way: 8 MiB. */
const WINDOW = 64;
/** Frames that nobody has confirmed for so long are sent again, in milliseconds. */
const RESEND_MS = 2_000;
/** How often each side says that it is there, in milliseconds. */
const BEAT_MS = 2_000;
/** A side that is silent for longer is gone. The network may be cut for 30 s. Milliseconds. */
const SILENCE_MS = 45_000;

/** What a control frame says. */
const SAY = { confirm: 0, over: 1, broken: 2 } as const;

/**
 * # A byte stream between a build and a worker, over messages of NATS
 *
 * NATS delivers a message at most once, in order, while the connection holds. Here every frame has
 * a number, is confirmed, and is sent again when it was not: a connection that was cut and found
 * again has lost nothing. Frames are sealed with the keys of this link (frames.ts). A frame without
 * bytes is the end of the stream.
 *
 * The stream is destroyed when the other side says nothing for 45 seconds, or has destroyed its
 * end. Destroying it without an error tells the other side that this one is through with it. The
 * subscription is made in the constructor, so the other side may be told of the link right after.
 */
export class SealedLink extends Duplex {
  readonly #nats: NatsConnection;
  readonly #ends: LinkEnds;
  readonly #listening: Subscription;
  readonly #timer: NodeJS.Timeout;
  /** What was written in this turn of the event loop. */
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #flushing: NodeJS.Immediate | undefined;
  /** Sealed frames that are not confirmed, from number `#confirmed` on. */
  #unconfirmed: Buffer[] = [];
  #confirmed = 0;
  #progressAt = Date.now();
  #waiting: (() => void) | undefined;
  /** The number of the next frame of the other side. */
  #next = 0;
  /** Up to here this side has room, and up to here it has said so. */
  #room = 0;
  #told = 0;
  #isFull = false;
  #controls = 0;
  #lastControl = -1;
  #heardAt = Date.now();
  #isOver = false;
  #hasEnd = false;
  #saidAt = 0;

  constructor(nats: NatsConnection, ends: LinkEnds) {
    super({ allowHalfOpen: true, highWaterMark: CHUNK * 8 });
    this.#nats = nats;
    this.#ends = ends;
    this.#listening = nats.subscribe(ends.own, {
      callback: (error, message) => {
        if (!error) this.#receive(message.data);
      },
    });
    this.#timer = setInterval(() => this.#beat(), BEAT_MS / 4);
  }

  /** True when the other side has ended the link because it is through with it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#gathered.push(chunk);
    this.#gatheredBytes += chunk.byteLength;
    if (this.#gatheredBytes >= CHUNK) this.#sendGathered();
    else this.#flushing ??= setImmediate(() => this.#sendGathered());
    if (this.#unconfirmed.length < WINDOW) done();
    else this.#waiting = done;
  }

  /** The other side is told of the end, and has all of the stream, when this has ended. */
  override _final(done: () => void): void {
    this.#sendGathered();
    this.#send(Buffer.alloc(0));
    this.#waiting = done;
    this.#goOn();
  }

  override _read(): void {
    this.#isFull = false;
    this.#room = this.#next;
    this.#confirm();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearInterval(this.#timer);
    if (!error) this.#sendGathered();
    clearImmediate(this.#flushing);
    this.#say(error ? SAY.broken : SAY.over);
    this.#listening.unsubscribe();
    done(error);
  }

  /** HTTP/2 writes many small pieces in a row. Each message of NATS costs more than its bytes. */
  #sendGathered(): void {
    clearImmediate(this.#flushing);
    this.#flushing = undefined;
    const [first, ...others] = this.#gathered;
    if (!first) return;
    const bytes = others.length === 0 ? first : Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    for (let at = 0; at < bytes.byteLength; at += CHUNK) this.#send(bytes.subarray(at, at + CHUNK));
  }

  #send(bytes: Buffer): void {
    const count = this.#confirmed + this.#unconfirmed.length;
    const sealed = sealFrame({ kind: 'data', count, bytes }, this.#ends.ownKey);
    if (this.#unconfirmed.length === 0) this.#progressAt = Date.now();
    this.#unconfirmed.push(sealed);
    this.#publish(sealed);
  }

  #say(what: number): void {
    const bytes = Buffer.alloc(9);
    bytes[0] = what;
    bytes.writeBigUInt64BE(BigInt(this.#room), 1);
    this.#told = this.#room;
    this.#saidAt = Date.now();
    const frame: Frame = { kind: 'control', count: this.#controls++, bytes };
    this.#publish(sealFrame(frame, this.#ends.ownKey));
  }

  #publish(bytes: Buffer): void {
    if (this.#nats.isClosed()) return;
    try {
      this.#nats.publish(this.#ends.other, bytes);
    } catch {
      // What was not sent is sent again, or the link falls silent.
    }
  }

  #receive(sealed: Uint8Array): void {
    const frame = openFrame(sealed, this.#ends.otherKey);
    if (!frame || this.destroyed) return;
    this.#heardAt = Date.now();
    if (frame.kind === 'control') this.#hear(frame);
    else if (frame.count === this.#next) this.#take(frame.bytes);
    // One that has come before was not confirmed in time.
    else if (frame.count < this.#next) this.#say(SAY.confirm);
  }

  #take(bytes: Buffer): void {
    this.#next++;
    if (bytes.byteLength === 0) {
      this.#hasEnd = true;
      this.push(null);
      this.#room = this.#next;
      this.#say(SAY.confirm);
      return;
    }
    if (!this.push(bytes)) this.#isFull = true;
    if (this.#isFull) return;
    this.#room = this.#next;
    this.#confirm();
  }

  /** Confirms what was read: at once when the other side may be waiting, or with the next beat. */
  #confirm(): void {
    if (this.#room - this.#told >= WINDOW / 4) this.#say(SAY.confirm);
    else if (this.#room > this.#told) this.#saidAt = Math.min(this.#saidAt, Date.now() - BEAT_MS);
  }

  #hear({ count, bytes }: Frame): void {
    if (count <= this.#lastControl || bytes.byteLength !== 9) return;
    this.#lastControl = count;
    const next = Number(bytes.readBigUInt64BE(1));
    const confirmed = next - this.#confirmed;
    if (confirmed > 0 && confirmed <= this.#unconfirmed.length) {
      this.#unconfirmed = this.#unconfirmed.slice(confirmed);
      this.#confirmed = next;
      this.#progressAt = Date.now();
      this.#goOn();
    }
    if (bytes[0] === SAY.over) this.#isOver = true;
    if (bytes[0] === SAY.over && this.#hasEnd) {
      // It waits for nothing more. What it has sent may still have to be read here.
      this.#unconfirmed = [];
      this.#goOn();
    } else if (bytes[0] !== SAY.confirm)
      this.destroy(new Error('the other side has ended the link'));
  }

  #goOn(): void {
    const isFree = this.writableEnded
      ? this.#unconfirmed.length === 0
      : this.#unconfirmed.length < WINDOW;
    const waiting = this.#waiting;
    if (!waiting || !isFree) return;
    this.#waiting = undefined;
    waiting();
  }

  #beat(): void {
    const now = Date.now();
    if (now - this.#heardAt > SILENCE_MS) {
      this.destroy(new Error(`the other side has said nothing for ${SILENCE_MS / 1000} seconds`));
      return;
    }
    if (now - this.#saidAt >= BEAT_MS) this.#say(SAY.confirm);
    if (this.#unconfirmed.length === 0 || now - this.#progressAt < RESEND_MS) return;
    this.#progressAt = now;
    for (const sealed of this.#unconfirmed) this.#publish(sealed);
  }
}
