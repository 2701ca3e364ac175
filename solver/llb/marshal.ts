import { type LlbOp, OP, type OpInput } from './ops.ts';
import { encode } from './wire.ts';

/**
 * The bytes of pb.Op (BuildKit solver/pb/ops.proto), exactly as Go's google.golang.org/protobuf
 * writes them with `Deterministic: true`: their sha256 is the digest of the vertex. Fields are in
 * the order of their numbers, except that the members of a oneof come after all other fields of
 * their message. Maps are sorted. Zero scalars are left out; empty messages are not.
 */
export function marshalOp(op: LlbOp, inputs: readonly OpInput[]): Uint8Array {
  const { platform, constraints } = op;
  return encode((out) =>
    OP.write(out, {
      inputs,
      ...(platform && { platform }),
      ...(constraints && { constraints }),
      op,
    }),
  );
}

/** The last entry of a definition: an op without a kind whose only input is the result. */
export function marshalResult(input: OpInput): Uint8Array {
  return encode((out) => OP.write(out, { inputs: [input] }));
}

/**
 * An op as read from bytes. `op` is undefined for the last entry of a definition, which only names
 * the result.
 */
export interface ReadOp {
  readonly op: LlbOp | undefined;
  readonly inputs: readonly OpInput[];
}

/**
 * Reads pb.Op. Unknown fields are skipped, as protobuf requires. Throws KILN_LLB_MALFORMED for
 * bytes that are not an op. Indexes are not checked here but in `parse.ts`.
 */
export function unmarshalOp(bytes: Uint8Array): ReadOp {
  const { inputs, op, ...more } = OP.read(bytes);
  return { op: op && { ...op, ...more }, inputs };
}
