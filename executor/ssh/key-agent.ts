import { FAILURE, MESSAGE, type SshAgentSource } from './agent.ts';
import type { SigningKey } from './signing-key.ts';
import { SshReader, string, uint32 } from './wire.ts';

/**
 * An agent that has exactly these keys. It lists them and signs with them, and answers every other
 * request with a failure.
 */
export function keyAgent(keys: readonly SigningKey[]): SshAgentSource {
  const connection = {
    ask: async (request: Buffer) => answer(keys, request),
    [Symbol.dispose]: () => {},
  };
  return { connect: () => connection };
}

function answer(keys: readonly SigningKey[], request: Buffer): Buffer {
  switch (request[0]) {
    case MESSAGE.listKeys:
      return Buffer.concat([
        Buffer.from([MESSAGE.keys]),
        uint32(keys.length),
        ...keys.flatMap(({ blob, comment }) => [string(blob), string(comment)]),
      ]);
    case MESSAGE.sign: {
      const reader = new SshReader(request.subarray(1));
      const [blob, data, flags] = [reader.string(), reader.string(), reader.uint32()];
      const key = keys.find((one) => one.blob.equals(blob));
      return key
        ? Buffer.concat([Buffer.from([MESSAGE.signature]), string(key.sign(data, flags))])
        : FAILURE;
    }
    default:
      return FAILURE;
  }
}
