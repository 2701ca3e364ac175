/**
 * A frontend that behaves as the first word of its build file says, after `# syntax=`: the tests
 * have it fail in every way. It stands in an image beside the files of examples/frontend.
 */
import { connect } from 'node:net';
import type * as Bridge from '../../examples/frontend/bridge.ts';
import type * as Graph from '../../examples/frontend/graph.ts';

const how = process.env['BEHAVIOUR'] ?? wordOf('cmdline');

/** The second word of an option: what follows the name of the image in `# syntax=`. */
function wordOf(name: string): string {
  const option = Object.values(process.env).find((value) => value?.startsWith(`${name}=`)) ?? '';
  return option.split(' ')[1] ?? '';
}

if (how === 'garbage') {
  process.stdout.write('HTTP/1.1 200 OK\r\n\r\n'.repeat(1000));
  setInterval(() => {}, 1000);
} else if (how === 'crash') {
  console.error('\x1b[31mcannot go on');
  process.exit(3);
} else {
  const bridge: typeof Bridge = await import('./bridge.ts' as string);
  const graph: typeof Graph = await import('./graph.ts' as string);
  const { call, fieldsOf, serve, session, solve, options } = bridge;
  const { definitionOf, executed, message, source } = graph;
  const base = source('docker-image://busybox');
  const metadata = (name: string, text: string) => message([1, name], [2, text]);
  switch (how) {
    case 'hang':
      await call('Ping', message());
      console.error('waiting');
      setInterval(() => {}, 1000);
      break;
    case 'silent':
      await call('Ping', message());
      process.exit(0);
      break;
    case 'error':
      await serve(async () => {
        throw new Error('line 7 is not to my taste');
      });
      break;
    case 'step': {
      const graph = definitionOf(executed(base, 'echo told; exit 9', []));
      await serve(async () => {
        await call('Solve', message([1, graph], [5, 1], [6, 1], [14, 1]));
        return message();
      });
      break;
    }
    case 'forged':
      // Bytes that are no message, an input that is not there, a graph that is its own input.
      for (const bytes of [
        Buffer.from('ffffffff', 'hex'),
        message([1, message([1, message([1, `sha256:${'0'.repeat(64)}`])])]),
        message([1, Buffer.alloc(1 << 20, 0x0a)]),
      ])
        await call('Solve', message([1, bytes], [5, 1], [6, 1])).then(
          () => console.error('TAKEN'),
          (error: Error) => console.error(`refused: ${error.message.slice(0, 200)}`),
        );
      await call('Solve', message([1, Buffer.alloc(17 << 20)])).catch((error: Error) =>
        console.error(`refused: ${error.message.slice(0, 200)}`),
      );
      await serve(async () => message([3, message([1, 'no such ref'])]));
      break;
    case 'layout': {
      // A directory of the host, in place of a layout that the build has.
      const attributes = { 'oci.store': '/etc', 'oci.session': '' };
      const graph = definitionOf(source(`oci-layout://x@sha256:${'0'.repeat(64)}`, attributes));
      await serve(async () => message([3, await solve(graph)]));
      break;
    }
    case 'config':
      await serve(async () =>
        message(
          [3, await solve(definitionOf(base))],
          [10, metadata('containerimage.config', '{"architecture":7}')],
        ),
      );
      break;
    case 'network':
      await serve(async () => {
        const socket = connect(53, '1.1.1.1');
        await new Promise((_, fail) => socket.once('error', fail));
        return message();
      });
      break;
    case 'container':
      // Processes over the base: one that is waited for, and one that is not.
      await serve(async () => {
        const ref = await solve(definitionOf(base));
        const mount = message([3, '/'], [23, fieldsOf(ref).get(1)!]);
        await call('NewContainer', message([1, 'c'], [2, mount]));
        const stream = session.request({
          ':method': 'POST',
          ':path': '/moby.buildkit.v1.frontend.LLBBridge/ExecProcess',
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        const begin = (process: string, command: string) => {
          const meta = message([1, '/bin/sh'], [1, '-c'], [1, command]);
          const init = message([1, 'c'], [2, meta], [3, 1], [3, 2]);
          const bytes = message([1, process], [2, init]);
          const prefix = Buffer.alloc(5);
          prefix.writeUInt32BE(bytes.length, 1);
          stream.write(Buffer.concat([prefix, bytes]));
        };
        begin('waits', 'sleep 6127');
        begin('tells', 'echo from the container; exit 5');
        let told = Buffer.alloc(0);
        for await (const data of stream) {
          told = Buffer.concat([told, data]);
          // The last message of the process: Done.
          if (told.includes(Buffer.from(message([1, 'tells'], [7, ''])))) break;
        }
        console.error(told.toString('latin1'));
        return message([3, ref]);
      });
      break;
    case 'nested':
      // The same build file again, by the built-in frontend, with one more line of its own.
      await serve(async () => {
        const all = [...options, ['build-arg:MORE', 'more'] as const];
        const pairs = all.map(([name, value]) => [3, message([1, name], [2, value])] as const);
        const answer = await call('Solve', message([2, 'dockerfile.v0'], ...pairs, [5, 1], [6, 1]));
        return answer.get(3)!;
      });
      break;
    case 'itself':
      await serve(async () => {
        const pairs = [...options].map(
          ([name, value]) => [3, message([1, name], [2, value])] as const,
        );
        const answer = await call('Solve', message([2, 'gateway.v0'], ...pairs, [5, 1], [6, 1]));
        return answer.get(3)!;
      });
      break;
    default:
      // Answers questions, and builds an image that tells its options.
      await serve(async () => {
        const asked = options.get('requestid');
        if (asked)
          return message(
            [10, metadata('result.txt', `text of ${asked}\n`)],
            [10, metadata('result.json', `{"of":"${asked}"}`)],
          );
        const told = Object.fromEntries([...options].sort());
        const config = { architecture: 'amd64', os: 'linux', config: { Labels: told } };
        return message(
          [3, await solve(definitionOf(base))],
          [10, metadata('containerimage.config', JSON.stringify(config))],
        );
      });
  }
}
