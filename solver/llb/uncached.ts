import { digestOf } from '../../base/digest.ts';
import { DEFINITION } from './definition-message.ts';
import { encode } from './wire.ts';

/** Returns a pb.Definition with the same ops, none of which may come from a cache. */
export function withoutCache(definition: Uint8Array): Uint8Array {
  const read = DEFINITION.read(definition);
  const metadata = Object.fromEntries(
    read.def.map((op) => {
      const digest = digestOf(op);
      const known = read.metadata[digest] ?? { description: {}, caps: [] };
      return [digest, { ...known, ignoreCache: true }];
    }),
  );
  return encode((out) => DEFINITION.write(out, { ...read, metadata }));
}
