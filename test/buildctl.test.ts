import { symlinkSync } from 'node:fs';
import { createServer } from 'node:http2';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { KILN, type RunOptions, run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** Runs `buildctl`, which is a link to Kiln, against the server of a rig. */
async function withBuildctl(
  work: (
    buildctl: (args: readonly string[], options?: RunOptions) => ReturnType<typeof run>,
    serve: ServeRig,
  ) => Promise<void>,
): Promise<void> {
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  symlinkSync(KILN, rig.path('buildctl'));
  await work(
    (args, options = {}) =>
      run([rig.path('buildctl'), ...args], {
        cwd: rig.directory,
        expect: 0,
        ...options,
        env: { BUILDKIT_HOST: `unix://${serve.socket}`, KILN_ROOT: rig.store, ...options.env },
      }),
    serve,
  );
}

test('buildctl tells workers, versions and disk usage, prunes and builds', () =>
  withBuildctl(async (buildctl, serve) => {
    const context = serve.rig.write('c', {
      Dockerfile: 'FROM busybox\nARG WORD\nRUN echo "said $WORD" | tee /said\n',
    });
    const id = /^ID +PLATFORMS\n(\w+) +linux\/\w+/.exec(
      (await buildctl(['debug', 'workers'])).stdout,
    );
    const json = await buildctl(['debug', 'workers', '--format', '{{json .}}']);
    assert.is(JSON.parse(json.stdout)[0].id, id?.[1]);
    assert.match((await buildctl(['--version'])).stdout, /^buildctl \S+buildkit v[\d.]+ \S+\n$/);
    assert.match((await buildctl(['debug', 'info'])).stdout, /^BuildKit: \S+buildkit v[\d.]+/);
    const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
    const built = await buildctl([
      ...['build', '--frontend', 'dockerfile.v0', ...local, '--opt', 'build-arg:WORD=so'],
      ...['--progress=plain', '--output', 'type=oci,dest=out.tar'],
    ]);
    assert.match(built.stderr, /^#\d+ [\d.]+ said so$/m);
    assert.match((await buildctl(['du'])).stdout, /^ID +RECLAIMABLE.*\nTotal: +[1-9]/s);
    assert.match((await buildctl(['prune', '--all'])).stdout, /^Total: +[1-9]/m);
  }));

test('buildctl dial-stdio is a connection to the server', () =>
  withBuildctl(async (buildctl, serve) => {
    // A preface of HTTP/2 and empty settings. The answer begins with the settings of the server.
    const stdin = Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
    ]);
    const { stdoutBytes } = await buildctl(['dial-stdio'], { stdin });
    assert.is(stdoutBytes[3], 4);
    const gone = await buildctl(['--addr', `unix://${serve.socket}.gone`, 'dial-stdio'], {
      expect: 1,
    });
    assert.match(gone.stderr, /cannot connect to unix:.*\[KILN_SERVER_UNREACHABLE\]/);
  }));

test('an address that does not speak gRPC is an error', () =>
  withBuildctl(async (buildctl, { rig }) => {
    const server = createServer((_request, response) => {
      response.writeHead(404);
      response.end();
    });
    const socket = rig.path('other.sock');
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    try {
      const told = await buildctl(['--addr', `unix://${socket}`, 'debug', 'workers'], {
        expect: undefined,
      });
      assert.is.not(told.code, 0);
      assert.match(told.stderr, /ERROR/);
    } finally {
      server.close();
    }
  }));

test.run();
