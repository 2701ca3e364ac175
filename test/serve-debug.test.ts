import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { mountsBelow, processesWith } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** The prompt of busybox, which asks the terminal for the cursor. */
const SHELL = /\/ [#$] (?:\x1b\[6n)?$/;
const MONITOR = /\(buildx\) $/;

test('docker buildx opens a shell in a result, with what its image says', async () => {
  await using serve = await ServeRig.create('busybox');
  const context = serve.rig.write('c', {
    Dockerfile: 'FROM busybox\nENV WORD=variable\nRUN echo made >/made\nUSER 1000\n',
  });
  const shown = await serve.onTerminal(
    ['debug', '--on=always', '--invoke=sh', 'build', context],
    [
      [SHELL, 'cat /made; echo "<$WORD>"; tty\r'],
      [SHELL, 'exit\r'],
      [MONITOR, 'exit\r'],
    ],
  );
  assert.match(shown, /\nmade\n<variable>\n\/dev\/pts\/0\n/);
  const invoke = '--invoke=entrypoint=sh,"args=[""-c"",""id -u; pwd; cat""]",user=7,cwd=/tmp';
  const told = await serve.onTerminal(
    ['debug', '--on=always', invoke, 'build', context],
    [
      [/\/tmp\r+\n/, 'typed\r'],
      [/typed\r+\ntyped\r+\n/, '\x04'],
      [MONITOR, 'exit\r'],
    ],
  );
  assert.match(told, /\n7\n\/tmp\n/);
  assert.is(serve.printed.split('\n').length, 2, serve.printed);
});

test('docker buildx opens a shell in what a failed step has left, and before it', async () => {
  await using serve = await ServeRig.create('busybox');
  const context = serve.rig.write('c', {
    Dockerfile:
      'FROM busybox\nRUN --mount=type=cache,target=/cache --mount=target=/src,rw ' +
      'echo left | tee /left >/cache/f; rm /src/f; exit 7\n',
    f: '',
  });
  const shown = await serve.onTerminal(
    ['debug', '--on=error', '--invoke=sh', 'build', context],
    [
      [SHELL, 'cat /left /cache/f; ls /src\r'],
      [SHELL, 'exit\r'],
      [MONITOR, 'rollback --init sh\r'],
      [SHELL, 'cat /left; ls /src\r'],
      [SHELL, 'exit\r'],
      [MONITOR, 'exit\r'],
    ],
  );
  assert.match(shown, /\nleft\nleft\nDockerfile\n/);
  assert.match(shown, /can't open '\/left': .*\nDockerfile +f\n/);
  assert.match(shown, /did not complete successfully: exit code: 7/);
  // The image alone: what the step has left went with the build.
  assert.is(readdirSync(join(serve.rig.store, 'layers')).length, 1);
  assert.is(serve.printed.split('\n').length, 2, serve.printed);
});

test('a shell in a failed step has its secrets, caches and network', async () => {
  await using serve = await ServeRig.create('busybox');
  serve.rig.write('.', { token: 's3cret' });
  const mounts = [
    'type=secret,id=token',
    'type=secret,id=token,env=TOKEN',
    'type=cache,target=/cache',
    'type=tmpfs,target=/memory',
  ];
  const run = mounts.map((mount) => `--mount=${mount}`).join(' ');
  const context = serve.rig.write('c', {
    Dockerfile: `FROM busybox\nRUN --network=none ${run} echo kept >/cache/f; exit 3\n`,
  });
  const shown = await serve.onTerminal(
    ['debug', '--invoke=sh', 'build', '--secret=id=token,src=token', context],
    [
      [SHELL, 'cat /run/secrets/token; echo; cat /cache/f; ls /sys/class/net\r'],
      [SHELL, 'grep -c " /memory tmpfs" /proc/mounts; echo "<$TOKEN>"\r'],
      [SHELL, 'exit\r'],
      [MONITOR, 'exit\r'],
    ],
  );
  assert.match(shown, /\ns3cret\nkept\nlo\n/);
  // buildx does not ask for the variables that are secrets.
  assert.match(shown, /\n1\n<>\n/);
});

test('a server that ends takes the shell with it, and leaves nothing', async () => {
  await using serve = await ServeRig.create('busybox');
  const context = serve.rig.write('c', { Dockerfile: 'FROM busybox\n' });
  const seconds = `${process.pid}.6128`;
  let ended: Promise<number | null> | undefined;
  await serve.onTerminal(
    ['debug', '--on=always', '--invoke=sh', 'build', context],
    [
      [SHELL, `echo up; sleep ${seconds}\r`],
      [
        /\nup\r+\n/,
        (pid) => {
          ended = serve.end().finally(() => process.kill(Number(pid), 'SIGKILL'));
        },
      ],
    ],
  );
  assert.is(await ended, 0);
  assert.equal(processesWith(seconds), []);
  assert.equal(mountsBelow(serve.rig.store), []);
});

test('a client that is killed leaves no process in its container', async () => {
  await using serve = await ServeRig.create('busybox');
  const context = serve.rig.write('c', { Dockerfile: 'FROM busybox\n' });
  const seconds = `${process.pid}.6126`;
  await serve.onTerminal(
    ['debug', '--on=always', '--invoke=sh', 'build', context],
    [
      [SHELL, `echo up; sleep ${seconds}\r`],
      [/\nup\r+\n/, (pid) => process.kill(Number(pid), 'SIGKILL')],
    ],
  );
  while (processesWith(seconds).length > 0) await new Promise((done) => setTimeout(done, 50));
  assert.match((await serve.buildx(['du'])).stdout, /Total/);
  assert.is(serve.printed.split('\n').length, 2, serve.printed);
});

test.run();
