import type { Digest } from '../../base/digest.ts';
import { inFlight } from '../sys/gate.ts';
import { openLibrary } from '../sys/native.ts';
import type { StreamHash } from './streamhash.ts';

/**
 * A sha256 on a thread of the libuv pool. It can be stopped after whole blocks of 64 bytes, stored,
 * and continued by another process.
 */
export interface ResumableHash extends StreamHash {
  /**
   * The eight words of FIPS 180-4 (section 6.2), in this machine's byte order. Call it between
   * updates, after whole blocks.
   */
  state(): Buffer;
}

/** The bytes of a state. */
export const STATE = 32;

/** SHA256_CTX of OpenSSL: u32 h[8], Nl, Nh, data[16], num, md_len. */
const CONTEXT = 112;
const COUNT = 32;

interface Sha256 {
  readonly init: (context: Buffer) => void;
  readonly update: (context: Buffer, piece: Buffer) => Promise<void>;
  readonly final: (into: Buffer, context: Buffer) => void;
}

let bound: Sha256 | null | undefined;

/**
 * A hash that has already seen `bytes` bytes, which gave `state`. Undefined where Node was built
 * with another OpenSSL.
 */
export function openResumable(seen?: {
  readonly bytes: number;
  readonly state: Buffer;
}): ResumableHash | undefined {
  bound ??= bind();
  if (bound === null) return undefined;
  const { init, update, final } = bound;
  const context = Buffer.alloc(CONTEXT);
  init(context);
  if (seen) {
    seen.state.copy(context, 0, 0, STATE);
    // The count is in bits: low word, high word. All machines of Node's builds for Linux that reach
    // this code are little-endian (x64, arm64).
    context.writeBigUInt64LE(BigInt(seen.bytes) * 8n, COUNT);
  }
  return {
    state: () => Buffer.from(context.subarray(0, STATE)),
    update: (piece) => update(context, piece),
    digest() {
      const out = Buffer.alloc(32);
      final(out, context);
      return `sha256:${out.toString('hex')}` as Digest;
    },
    [Symbol.dispose]: () => undefined,
  };
}

function bind(): Sha256 | null {
  if (process.arch !== 'x64' && process.arch !== 'arm64') return null;
  try {
    const self = openLibrary(null);
    if (!self) return null;
    const init = self.func('int SHA256_Init(void *)');
    const update = self.func('int SHA256_Update(void *, const void *, uint64_t)');
    const final = self.func('int SHA256_Final(void *, void *)');
    const found: Sha256 = {
      init: (context) => void init(context),
      update: async (context, piece) => {
        const result = await inFlight<number | bigint>((done) =>
          update.async(context, piece, piece.length, done),
        );
        if (Number(result) !== 1) throw new Error('SHA256_Update failed');
      },
      final: (into, context) => void final(into, context),
    };
    return found;
  } catch {
    return null;
  }
}
