import { Code, ConnectError } from '@connectrpc/connect';
import type { AnsweredCall, InnerMethod } from '../../api/grpc/inner-server.ts';
import { EXPORTER_ID, FILE_SEND } from '../../api/session/filesend/send-bytes.ts';
import { receiveFiles } from '../../api/session/filesync/diff-copy.ts';
import { outputError, writeTo } from '../../exporter/destination.ts';
import type { Destination } from '../../exporter/output-spec.ts';
import { asBytes, readFields } from '../../solver/llb/wire.ts';
import { DirectoryOutput } from './directory-output.ts';

/** Where an output of a build goes here: bytes to a file or a stream, or a tree to a directory. */
export type LentOutput =
  | { readonly kind: 'bytes'; readonly destination: Destination }
  | { readonly kind: 'directory'; readonly path: string; readonly deletes?: boolean };

/**
 * Answers for the outputs of a build, by the numbers of their exporters. Each is written once. A
 * file appears when it is whole.
 */
export function lentOutputs(
  outputs: ReadonlyMap<string, LentOutput>,
  signal: AbortSignal,
): readonly [path: string, answer: InnerMethod] {
  const waiting = new Map(outputs);
  return [
    FILE_SEND,
    async (call) => {
      // A server that knows of one output only does not name it.
      const id = call.metadata(EXPORTER_ID)[0] ?? '0';
      const output = waiting.get(id);
      if (!output)
        throw new ConnectError(`there is no output ${JSON.stringify(id)}`, Code.NotFound);
      waiting.delete(id);
      if (output.kind === 'bytes') await receiveBytes(call, output.destination, signal);
      else await receiveTree(call, output.path, output.deletes ?? false);
    },
  ];
}

async function receiveBytes(
  { stream }: AnsweredCall,
  destination: Destination,
  signal: AbortSignal,
): Promise<void> {
  await writeTo(destination, signal, async (sink) => {
    for await (const messages of stream.receive())
      for (const message of messages)
        for (const field of readFields(message))
          if (field.number === 1) await sink.write(asBytes(field));
  });
}

async function receiveTree(
  { stream }: AnsweredCall,
  path: string,
  deletes: boolean,
): Promise<void> {
  using output = new DirectoryOutput(path);
  try {
    await receiveFiles(stream, output, 'the output cannot be received');
    output.finish(deletes);
  } catch (error) {
    throw error instanceof ConnectError ? error : outputError(error, path);
  }
}
