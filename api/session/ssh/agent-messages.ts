import { MAX_MESSAGE } from '../../../executor/ssh/wire.ts';
import { asBytes, readFields } from '../../../solver/llb/wire.ts';

/**
 * The messages of the agent protocol, without their lengths. The pieces of a stream may cut them
 * anywhere.
 */
export async function* agentMessages(
  pieces: AsyncIterable<readonly Buffer[]>,
): AsyncGenerator<Buffer, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const messages of pieces) {
    rest = Buffer.concat([rest, ...messages.flatMap(dataOf)]);
    while (rest.byteLength >= 4) {
      const length = rest.readUInt32BE(0);
      if (length > MAX_MESSAGE) throw new Error('the other side of the ssh agent says too much');
      if (rest.byteLength < 4 + length) break;
      yield rest.subarray(4, 4 + length);
      rest = rest.subarray(4 + length);
    }
  }
}

/** The bytes in a message of the stream. */
export function dataOf(message: Buffer): Uint8Array[] {
  return [...readFields(message)].filter(({ number }) => number === 1).map(asBytes);
}
