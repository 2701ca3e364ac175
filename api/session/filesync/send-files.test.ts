import { ConnectError } from '@connectrpc/connect';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { GrpcStream } from '../../grpc/grpc-frames.ts';
import { GO_MODE } from './go-mode.ts';
import { PACKET, packetBytes } from './packet.ts';
import { sendFiles } from './send-files.ts';
import { statOf, symlink } from './testing.ts';

/** A receiver that asks for the file of a number. */
function asking(id: number): GrpcStream {
  return {
    send: async () => {},
    end: () => {},
    receive: async function* () {
      yield [Buffer.from(packetBytes(PACKET.request, id))];
    },
  };
}

const files = [
  statOf(symlink('link', '/etc/passwd')),
  statOf({ path: 'pipe', mode: GO_MODE.fifo | 0o644 }),
];
for (const [name, id] of [
  ['what a symbolic link leads to', 0],
  ['the content of a pipe', 1],
  ['a file that was not told', 2],
] as const)
  test(`a receiver does not get ${name}`, async () => {
    const open = () => {
      throw new Error('opened');
    };
    const error = await sendFiles(asking(id), { files, open }).catch((thrown) => thrown);
    assert.instance(error, ConnectError);
    assert.match(error.message, /a file is asked for that is not there/);
  });

test.run();
