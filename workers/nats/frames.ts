import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';

/** A part of the stream, or what one side says of the stream. They are counted on their own. */
export type FrameKind = 'data' | 'control';

export interface Frame {
  readonly kind: FrameKind;
  readonly count: number;
  readonly bytes: Buffer;
}

/** kind (1 byte), count (8 bytes), sealed bytes, tag (16 bytes). */
const HEAD = 9;
const TAG = 16;
const CIPHER = 'aes-256-gcm';

/** Seals a frame. Each count of a kind is used for one text alone, so no nonce is used twice. */
export function sealFrame({ kind, count, bytes }: Frame, key: KeyObject): Buffer {
  const head = headOf(kind, count);
  const cipher = createCipheriv(CIPHER, key, nonceOf(head)).setAAD(head);
  return Buffer.concat([head, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
}

/** Opens a frame. Undefined for bytes that the other side has not sealed. */
export function openFrame(sealed: Uint8Array, key: KeyObject): Frame | undefined {
  if (sealed.byteLength < HEAD + TAG || sealed[0]! > 1) return undefined;
  const buffer = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  const head = buffer.subarray(0, HEAD);
  const decipher = createDecipheriv(CIPHER, key, nonceOf(head))
    .setAAD(head)
    .setAuthTag(buffer.subarray(-TAG));
  try {
    const bytes = Buffer.concat([decipher.update(buffer.subarray(HEAD, -TAG)), decipher.final()]);
    return { kind: head[0] === 0 ? 'data' : 'control', count: countIn(head), bytes };
  } catch {
    return undefined;
  }
}

function headOf(kind: FrameKind, count: number): Buffer {
  const head = Buffer.alloc(HEAD);
  head[0] = kind === 'data' ? 0 : 1;
  head.writeBigUInt64BE(BigInt(count), 1);
  return head;
}

function countIn(head: Buffer): number {
  return Number(head.readBigUInt64BE(1));
}

function nonceOf(head: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(3), head]);
}
