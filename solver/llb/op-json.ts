import { unmarshalOp } from './marshal.ts';
import { OP } from './ops.ts';

/** The oneofs of LLB messages, which JSON of protobuf does not name. */
const ONEOFS: ReadonlySet<string> = new Set(['Op', 'Action', 'User']);

/** The JSON that protobuf makes of a pb.Op, which `bytes` are. Throws KILN_LLB_MALFORMED. */
export function opJson(bytes: Uint8Array): unknown {
  const { op, inputs } = unmarshalOp(bytes);
  const { platform, constraints } = op ?? {};
  return flat(
    OP.json({
      inputs,
      ...(platform && { platform }),
      ...(constraints && { constraints }),
      ...(op && { op }),
    }),
  );
}

/** Puts the members of oneofs where their names are. */
function flat(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(flat);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, part]): [string, unknown][] => {
      const shown = flat(part);
      return ONEOFS.has(name) && typeof shown === 'object' && shown !== null
        ? Object.entries(shown)
        : [[name, shown]];
    }),
  );
}
