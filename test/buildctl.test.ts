import { readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http2';
import { createServer as createNetServer } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withBuildctl } from './buildctl-rig.ts';
import { run } from './rig.ts';

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

test('buildctl sends a graph, lends directories and secrets, and gets what was built', () =>
  withBuildctl(async (buildctl, { rig }) => {
    const context = rig.write('c', {
      Dockerfile: 'FROM busybox\nCOPY f /f\nRUN cat /f && cat /proc/sys/kernel/random/uuid >/n\n',
      f: 'from a graph\n',
    });
    const graph = rig.path('graph');
    const dump = ['debug', 'dump-llb', '--format=binary', '-o', graph, context];
    await rig.kiln(dump, { expect: 0 });
    const stdin = readFileSync(graph);
    const build = ['build', '--progress=plain', '--local', `context=${context}`];
    const built = await buildctl([...build, '-o', 'type=local,dest=one'], { stdin });
    assert.match(built.stderr, /^#\d+ [\d.]+ from a graph$/m);
    assert.is(readFileSync(rig.path('one/f'), 'utf8'), 'from a graph\n');
    const args = ['-o', 'type=local,dest=two', '--trace', 'trace', '--ref-file', 'ref'];
    await buildctl([...build, ...args], { stdin });
    assert.is(readFileSync(rig.path('two/n'), 'utf8'), readFileSync(rig.path('one/n'), 'utf8'));
    const events = readFileSync(rig.path('trace'), 'utf8').trim().split('\n');
    assert.ok(events.some((line) => JSON.parse(line).vertexes?.[0].cached));
    await buildctl([...build, '-o', 'type=local,dest=three', '--no-cache'], { stdin });
    assert.is.not(
      readFileSync(rig.path('three/n'), 'utf8'),
      readFileSync(rig.path('one/n'), 'utf8'),
    );
    const ops = (await buildctl(['debug', 'dump-llb', graph])).stdout.trim().split('\n');
    const identifiers = ops.map((line) => JSON.parse(line).Op.Op?.source?.identifier);
    assert.ok(identifiers.includes('local://context'), ops.join('\n'));
    const dot = (await buildctl(['debug', 'dump-llb', '--dot'], { stdin })).stdout;
    assert.match(dot, /^digraph \{\n.*"local:\/\/context".* -> /s);
    const ref = readFileSync(rig.path('ref'), 'utf8');
    assert.match((await buildctl(['debug', 'logs', ref])).stdout, /CACHED/);
  }));

test('buildctl builds by frontends with outputs, caches and questions', () =>
  withBuildctl(async (buildctl, { rig }) => {
    const context = rig.write('c', {
      Dockerfile: 'FROM busybox AS end\nRUN --mount=type=secret,id=s cat /run/secrets/s >/made\n',
    });
    rig.write('.', { s: 'known' });
    const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
    const build = ['build', '--frontend', 'dockerfile.v0', ...local, '--progress=plain'];
    const secret = ['--secret', 'id=s,src=s'];
    await buildctl([
      ...[...build, ...secret, '--metadata-file', 'm.json'],
      ...['--output', 'type=oci,dest=o.tar,name=app:1', '--output', 'type=tar,dest=t.tar'],
      ...['--export-cache', 'type=local,dest=cache,mode=max'],
    ]);
    const metadata = JSON.parse(readFileSync(rig.path('m.json'), 'utf8'));
    assert.match(metadata['containerimage.digest'], /^sha256:/);
    assert.is(metadata['image.name'], 'docker.io/library/app:1');
    assert.match((await run(['tar', '-xOf', rig.path('t.tar'), 'made'])).stdout, /^known$/);
    await buildctl(['prune', '--all']);
    const cached = await buildctl([...build, ...secret, '--import-cache', 'type=local,src=cache']);
    assert.match(cached.stderr, /^#\d+ CACHED$/m);
    const asked = await buildctl([...build, '--opt', 'requestid=frontend.targets']);
    assert.match(asked.stdout, /^TARGET.*\nend \(default\)/);
    const selector = { identifier: 'docker-image://docker.io/library/busybox:*' };
    rig.write('.', { 'p.json': JSON.stringify({ rules: [{ action: 'DENY', selector }] }) });
    const denied = await buildctl([...build, ...secret, '--source-policy-file', 'p.json'], {
      expect: 1,
    });
    assert.match(denied.stderr, /busybox:latest.*\[KILN_SOURCE_DENIED\]/);
    const absent = await buildctl([...build, '--opt', 'target=none'], { expect: 1 });
    assert.match(absent.stderr, /\[KILN_TARGET_NOT_FOUND\]/);
    const unlent = await buildctl(['build', '--frontend', 'dockerfile.v0'], { expect: 1 });
    assert.match(unlent.stderr, /lends no director/);
    const terminal = await buildctl(['build'], { expect: 2 });
    assert.match(terminal.stderr, /Specify --frontend instead/);
  }));

test('buildctl tells, follows and forgets the history of builds', () =>
  withBuildctl(async (buildctl, { rig }) => {
    const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo logged\n' });
    const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
    const build = ['build', '--frontend', 'dockerfile.v0', ...local, '--progress=plain'];
    await buildctl([...build, '--ref-file', 'ref']);
    const ref = readFileSync(rig.path('ref'), 'utf8');
    const list = (await buildctl(['debug', 'histories'])).stdout;
    assert.match(list, new RegExp(`^TYPE +REF +CREATED .*\\nCOMPLETE +${ref} `));
    const json = await buildctl(['debug', 'histories', '--format', '{{.Record.Ref}}']);
    assert.is(json.stdout, `${ref}\n`);
    assert.match((await buildctl(['debug', 'logs', ref])).stdout, /^#\d+ [\d.]+ logged$/m);
    const followed = await buildctl(['debug', 'monitor', '--completed'], {
      expect: undefined,
      watch: (output, kill) => {
        if (output.includes('event: COMPLETE')) kill('SIGKILL');
      },
    });
    assert.match(followed.stdout, new RegExp(`^event: COMPLETE ref:${ref}$`, 'm'));
    const logs = /logs: .*digest:"(sha256:[0-9a-f]+)"/.exec(followed.stdout)?.[1];
    assert.ok(logs, followed.stdout);
    assert.ok((await buildctl(['debug', 'get', logs!])).stdoutBytes.byteLength > 0);
    await buildctl(['debug', 'get', `sha256:${'0'.repeat(64)}`], { expect: 1 });
    assert.match((await buildctl(['prune-histories'])).stdout, new RegExp(`COMPLETE +${ref}`));
    assert.is((await buildctl(['debug', 'histories', '--format', 'json'])).stdout, '');
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

test('buildctl --wait waits for a server that is not there yet, no longer than --timeout', () =>
  withBuildctl(async (buildctl, serve) => {
    const later = serve.rig.path('later.sock');
    const addressed = ['--addr', `unix://${later}`, '--wait'];
    const late = await buildctl([...addressed, '--timeout=1', 'debug', 'info'], { expect: 1 });
    assert.match(late.stderr, /cannot connect to unix:.*\[KILN_SERVER_UNREACHABLE\]/);
    const wrong = await buildctl([...addressed, '--timeout=soon', 'debug', 'info'], { expect: 2 });
    assert.match(wrong.stderr, /"soon" is not a number of seconds/);
    // The first attempt meets a server that hangs up. Then the right one takes its place.
    const busy = createNetServer((socket) => {
      busy.close();
      rmSync(later, { force: true });
      symlinkSync(serve.socket, later);
      socket.destroy();
    });
    await new Promise<void>((resolve) => busy.listen(later, resolve));
    const { stdout } = await buildctl([...addressed, '--timeout=300', 'debug', 'info']);
    assert.match(stdout, /^BuildKit: /);
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

test('buildctl --debug shows where an error was made, in the server and here', () =>
  withBuildctl(async (buildctl, { rig }) => {
    const context = rig.write('c', { Dockerfile: 'FROM busybox\nRUN false\n' });
    const local = ['--local', `context=${context}`, '--local', `dockerfile=${context}`];
    const build = ['build', '--progress=plain', '--frontend', 'dockerfile.v0', ...local];
    const { stderr: told } = await buildctl(['--debug', ...build], { expect: 1 });
    assert.match(told, /^\d+\n\S.*\n\t\S+:\d+\n/m);
    assert.match(told, /^Dockerfile:2$/m);
    const { stderr: plain } = await buildctl(build, { expect: 1 });
    assert.not.match(plain, /^\t\S+:\d+$/m);
    assert.not.match(plain, /^ {4}at /m);
  }));

test.run();
