import { once } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ServeRig } from './serve-rig.ts';

/** A message of the Debug Adapter Protocol. */
interface Message {
  readonly event?: string;
  readonly command?: string;
  readonly body?: {
    readonly threadId?: number;
    readonly stackFrames?: readonly { line: number }[];
  };
}

test('docker buildx dap build stops at the first line and at a breakpoint, and ends', async () => {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  const context = rig.write('c', {
    Dockerfile: 'FROM busybox\nRUN echo one > /one\nCOPY f /f\nRUN cat /f /one\n',
    f: 'f',
  });
  process.env['BUILDX_EXPERIMENTAL'] = '1';
  const child = serve.startBuildx(['dap', 'build', context]);
  let count = 0;
  const send = (command: string, args: object = {}) => {
    const body = JSON.stringify({ seq: ++count, type: 'request', command, arguments: args });
    child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  };
  const lines: number[] = [];
  const path = `${context}/Dockerfile`;
  const react = ({ event, command, body }: Message) => {
    if (command === 'initialize')
      send('launch', { contextPath: context, dockerfile: path, stopOnEntry: true });
    if (event === 'initialized') {
      send('setBreakpoints', { source: { path }, breakpoints: [{ line: 4 }] });
      send('configurationDone');
    }
    if (event === 'stopped') send('stackTrace', { threadId: body?.threadId });
    if (command === 'stackTrace') {
      lines.push(body?.stackFrames?.[0]?.line ?? 0);
      send('continue', { threadId: 1 });
    }
    if (event === 'terminated') {
      lines.push(-1);
      send('disconnect');
      child.stdin.end();
    }
  };
  let came = '';
  child.stdout.setEncoding('latin1');
  child.stdout.on('data', (data: string) => {
    came += data;
    for (let head: RegExpExecArray | null; (head = HEAD.exec(came)); ) {
      const begin = head[0].length;
      const end = begin + Number(head[1]);
      if (came.length < end) return;
      react(JSON.parse(came.slice(begin, end)));
      came = came.slice(end);
    }
  });
  send('initialize', { adapterID: 'kiln', linesStartAt1: true, pathFormat: 'path' });
  await once(child, 'close');
  assert.equal(lines, [1, 4, -1]);
  assert.is(serve.printed.split('\n').length, 2, serve.printed);
});

const HEAD = /^Content-Length: (\d+)\r\n\r\n/;

test.run();
