import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { asDigest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { mutateBytes } from '../../base/testing/mutate.ts';
import { randomOf } from '../../base/testing/random.ts';
import { type JsonVertex, marshalDefinition } from './definition.ts';
import { marshalOp, marshalResult, unmarshalOp } from './marshal.ts';
import type { LlbOp } from './ops.ts';
import { parseDefinition } from './parse.ts';

/**
 * Reads mutated bytes of ops and definitions. KILN_SOAK=1 tries 200,000 instead of 3,000;
 * KILN_SEED=n repeats a run.
 */
const SOAK = process.env['KILN_SOAK'] === '1';
const seed = Number(process.env['KILN_SEED'] ?? (SOAK ? Date.now() % 1_000_000 : 1));
const random = randomOf(seed);
const count = SOAK ? 200_000 : 3_000;

function readOrRefuse<T>(bytes: Uint8Array, read: (bytes: Uint8Array) => T): T | undefined {
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof KilnError) return undefined;
    throw new Error(
      `bytes ${Buffer.from(bytes).toString('hex')}: ` +
        `${error instanceof Error ? error.stack : error}`,
    );
  }
}

/** The graphs in the golden files of the frontend, each as the ops of one definition. */
const GRAPHS = join(import.meta.dirname, '../../frontend/convert/testdata');
const graphs: readonly (readonly Uint8Array[])[] = readdirSync(GRAPHS)
  .filter((name) => name.endsWith('.golden'))
  .flatMap((name) => {
    const golden = JSON.parse(readFileSync(join(GRAPHS, name), 'utf8')) as {
      targets: { ops: JsonVertex[] }[];
    };
    return golden.targets.filter(({ ops }) => ops.length > 0).map(({ ops }) => ops.map(bytesOf));
  });
const corpus = graphs.flat();

/** Makes the bytes of an op from its JSON, in which bytes are base64 and large times are text. */
function bytesOf({ op, inputs, digest }: JsonVertex): Uint8Array {
  const revived = JSON.parse(JSON.stringify(op), (key, value) => {
    if (key === 'data') return Buffer.from(value, 'base64');
    return key === 'timestamp' && typeof value === 'string' ? BigInt(value) : value;
  }) as LlbOp;
  const bytes = marshalOp(
    revived,
    inputs.map((input) => ({
      digest: asDigest(input.slice(0, 71)),
      index: Number(input.slice(72)),
    })),
  );
  assert.is(digestOf(bytes), digest);
  return bytes;
}

test('mutated ops are read or refused, and writing and reading them changes nothing', () => {
  if (SOAK) console.log(`seed ${seed}, ${corpus.length} ops`);
  for (let run = 0; run < count; run++) {
    const bytes = mutateBytes(random, corpus);
    const read = readOrRefuse(bytes, unmarshalOp);
    if (!read?.op) continue;
    const written = marshalOp(read.op, read.inputs);
    const again = unmarshalOp(written);
    assert.ok(again.op);
    assert.is(
      digestOf(marshalOp(again.op, again.inputs)),
      digestOf(written),
      Buffer.from(bytes).toString('hex'),
    );
  }
});

test('mutated definitions are read or refused', () => {
  const nothing = { metadata: new Map(), sources: [], locations: new Map() };
  const definitions = graphs.map((ops) => {
    const result = marshalResult({ digest: digestOf(ops.at(-1)!), index: 0 });
    return marshalDefinition({ def: [...ops, result], ...nothing });
  });
  for (const definition of definitions) assert.ok(parseDefinition(definition));
  for (let run = 0; run < count / 3; run++)
    readOrRefuse(mutateBytes(random, definitions), parseDefinition);
});

test.run();
