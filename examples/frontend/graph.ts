/** Graphs (LLB). Fields of messages are numbered as in BuildKit's ops.proto. */
import { createHash } from 'node:crypto';
import { PbfWriter } from 'pbf';

/** The result of an op. `bytes` is the op as a message, which names its inputs by their digests. */
export interface Tree {
  readonly bytes: Uint8Array;
  readonly inputs: readonly Tree[];
}

type Field = readonly [number: number, value: number | string | Uint8Array];

/** A protobuf message of these fields. */
export function message(...fields: readonly Field[]): Uint8Array {
  const pbf = new PbfWriter();
  for (const [number, value] of fields)
    if (typeof value === 'number') pbf.writeVarintField(number, value);
    else pbf.writeBytesField(number, Buffer.from(value));
  return pbf.finish();
}

const digestOf = (bytes: Uint8Array) =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

function op(kind: Field, ...inputs: readonly Tree[]): Tree {
  const named = inputs.map(({ bytes }): Field => [1, message([1, digestOf(bytes)])]);
  return { bytes: message(...named, kind), inputs };
}

/** An image or a directory of the client. */
export function source(
  identifier: string,
  attributes: Readonly<Record<string, string>> = {},
): Tree {
  const pairs = Object.entries(attributes).sort();
  const attrs = pairs.map(([name, value]): Field => [2, message([1, name], [2, value])]);
  return op([3, message([1, identifier], ...attrs)]);
}

/** The directory that the client has under this name, or only some files of it. */
export function local(name: string, files: readonly string[] = []): Tree {
  return source(`local://${name}`, {
    'local.sessionid': process.env['BUILDKIT_SESSION_ID'] ?? '',
    'local.sharedkeyhint': [name, ...files].join(),
    ...(files.length > 0 && { 'local.followpaths': JSON.stringify(files) }),
  });
}

/** `to` with a file or directory of `tree`. Modes and times stay as they are (-1). */
export function copied(to: Tree, tree: Tree, from: string, path: string): Tree {
  const copy = message([1, from], [2, path], [4, -1], [6, 1], [8, 1], [11, -1]);
  return op([4, message([2, message([1, 0], [2, 1], [3, 0], [4, copy])])], to, tree);
}

/** `tree` after a shell command. `network` is a number of pb.NetMode: 0, or 1 for the host's. */
export function executed(tree: Tree, command: string, env: readonly string[], network = 0): Tree {
  const args = ['/bin/sh', '-c', command].map((text): Field => [1, text]);
  const meta = message(...args, ...env.map((text): Field => [2, text]), [3, '/']);
  return op([2, message([1, meta], [2, message([1, 0], [3, '/'], [4, 0])], [3, network])], tree);
}

/** A pb.Definition: all ops, inputs first, each once. The last one only names the result. */
export function definitionOf(tree: Tree): Uint8Array {
  const ops = new Map<string, Uint8Array>();
  const visit = ({ bytes, inputs }: Tree) => {
    for (const input of inputs) visit(input);
    ops.set(digestOf(bytes), bytes);
  };
  visit(tree);
  const last = message([1, message([1, digestOf(tree.bytes)])]);
  return message(...[...ops.values(), last].map((bytes): Field => [1, bytes]));
}
