/** The types of ssh's messages (RFC 4251, section 5), as far as agents and keys use them. */

/** The longest message that is sent to or from an agent: the limit of OpenSSH. */
export const MAX_MESSAGE = 256 * 1024;

/**
 * The bytes that were sent to an agent, or that a key file holds, do not have the expected format.
 */
export class SshFormatError extends Error {}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** `string`: length, then bytes. */
export function string(value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([uint32(bytes.byteLength), bytes]);
}

/**
 * Encodes a number that is not negative as `mpint`. `value` holds its bytes, the highest first. The
 * result has no leading zeros except one where the top bit is set.
 */
export function mpint(value: Uint8Array): Buffer {
  let at = 0;
  while (at < value.byteLength && value[at] === 0) at++;
  const bytes = Buffer.from(value.subarray(at));
  return string((bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);
}

/** Reads one value after the other. Throws SshFormatError where the bytes end too early. */
export class SshReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take(count: number): Buffer {
    if (this.#at + count > this.#bytes.byteLength) throw new SshFormatError('it ends too early');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  uint32(): number {
    return this.take(4).readUInt32BE(0);
  }

  string(): Buffer {
    return this.take(this.uint32());
  }

  text(): string {
    return this.string().toString('utf8');
  }
}

/** Cuts a stream into messages of the agent protocol: a length of four bytes, then the message. */
export async function* messages(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = rest.byteLength === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    while (rest.byteLength >= 4) {
      const length = rest.readUInt32BE(0);
      if (length === 0 || length > MAX_MESSAGE)
        throw new SshFormatError(`a message of ${length} bytes`);
      if (rest.byteLength < 4 + length) break;
      yield rest.subarray(4, 4 + length);
      rest = rest.subarray(4 + length);
    }
  }
}
