import { readFileSync, statSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { Repositories, serveGit } from '../solver/ops/git/testing.ts';
import { run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/** A definition with a group, a matrix, functions, inheritance, linked targets and all outputs. */
const HCL = `
variable "REGISTRY" { default = "example.com" }
variable "TAG" { default = "one" }
function "tagged" {
  params = [name]
  result = "\${REGISTRY}/bake/\${name}:\${TAG}"
}
group "default" { targets = ["app", "tools"] }
group "tools" { targets = ["tool"] }
target "_common" {
  args = { WORD = upper("hello"), N = add(40, 2) }
  labels = { common = "label" }
}
target "base" {
  inherits = ["_common"]
  dockerfile-inline = <<EOT
FROM busybox
ARG WORD
ARG N
ENV SAID=$WORD-$N
RUN echo $SAID >/base
EOT
}
target "app" {
  inherits = ["_common"]
  dockerfile = "App"
  contexts = { base = "target:base", files = "./files", image = "docker-image://busybox" }
  secret = ["type=env,id=variable,env=SECRET", "type=file,id=file,src=token"]
  attest = ["type=provenance,mode=max", "type=sbom"]
  annotations = ["index,manifest:org.example.note=noted"]
  tags = [tagged("app"), tagged("again")]
  output = ["type=image", "type=oci,dest=app.tar", { type = "local", dest = "out" }]
}
target "tool" {
  name = "tool-\${item.name}"
  inherits = ["_common"]
  description = "A tool"
  matrix = { item = [{ name = "a", value = 1 }, { name = "b", value = 2 }] }
  dockerfile-inline = "FROM busybox\\nARG WORD\\nRUN echo \${item.name} \${item.value} $WORD >/tool"
  output = ["type=tar,dest=\${item.name}.tar"]
}
`;

const APP = `
FROM base AS secrets
RUN --mount=type=secret,id=variable --mount=type=secret,id=file --mount=from=files,target=/f \\
  cat /run/secrets/variable /run/secrets/file /f/note; echo "base says $SAID"
FROM secrets
LABEL said=$SAID
COPY --from=image /bin/busybox /tool
`;

async function bakery(): Promise<ServeRig> {
  const serve = await ServeRig.create('busybox');
  serve.rig.write('.', {
    'docker-bake.hcl': HCL,
    App: APP,
    'files/note': 'note of a context\n',
    token: 'secret of a file\n',
  });
  return serve;
}

const env = { SECRET: 'secret of a variable\n', BUILDKIT_PROGRESS: 'plain' };

test('bake builds groups, a matrix and linked targets, and writes each output', async () => {
  await using serve = await bakery();
  const { rig } = serve;
  const args = ['bake', '--allow=fs=*', '--metadata-file', 'metadata.json'];
  const { stderr } = await serve.buildx(args, { env });
  for (const said of [
    'secret of a variable',
    'secret of a file',
    'note of a context',
    'base says HELLO-42',
  ])
    assert.match(stderr, new RegExp(`^#\\d+ [\\d.]+ ${said}$`, 'm'));
  const metadata = JSON.parse(readFileSync(rig.path('metadata.json'), 'utf8'));
  assert.equal(Object.keys(metadata), ['app', 'base', 'tool-a', 'tool-b']);
  for (const target of Object.values<Record<string, string>>(metadata))
    assert.match(target['buildx.build.ref'] ?? '', /^k\/k0\/\w{25}$/);
  const { app } = metadata;
  assert.is(app['image.name'], 'example.com/bake/app:one,example.com/bake/again:one');
  assert.is(readFileSync(rig.path('out/base'), 'utf8'), 'HELLO-42\n');
  assert.ok(statSync(rig.path('out/tool')).mode & 0o111);
  for (const name of ['provenance.json', 'sbom.spdx.json']) statSync(rig.path('out', name));
  const index = JSON.parse(
    (await run(['tar', '-xOf', rig.path('app.tar'), 'index.json'], { expect: 0 })).stdout,
  ).manifests[0];
  assert.is(index.digest, app['containerimage.digest']);
  const blob = `blobs/${index.digest.replace(':', '/')}`;
  const inner = JSON.parse((await run(['tar', '-xOf', rig.path('app.tar'), blob])).stdout);
  assert.equal(inner.annotations, { 'org.example.note': 'noted' });
  assert.is(inner.manifests.length, 2);
  for (const [name, value] of [
    ['a', 1],
    ['b', 2],
  ] as const) {
    const { stdout } = await run(['tar', '-xOf', rig.path(`${name}.tar`), 'tool']);
    assert.is(stdout, `${name} ${value} HELLO\n`);
  }
  const label = '{{.Config.Labels.common}} {{.Config.Env}}';
  const shown = await rig.kiln(['inspect', '--format', label, 'example.com/bake/again:one'], {
    expect: 0,
  });
  assert.match(shown.stdout, /^label .*SAID=HELLO-42/);
});

test('bake prints, lists and answers questions, also about targets built on others', async () => {
  await using serve = await bakery();
  const bake = async (...args: string[]) => (await serve.buildx(['bake', ...args], { env })).stdout;
  const printed = JSON.parse(await bake('--print', '--set', 'tool-a.args.WORD=set', 'tool-a'));
  assert.equal(printed.target['tool-a'].args, { N: '42', WORD: 'set' });
  assert.match(await bake('--list=targets'), /^tool-a\s+A tool$/m);
  assert.match(await bake('--list=variables'), /^TAG\s+one/m);
  assert.match(await bake('--check'), 'Check complete, no warnings found.');
  assert.match(await bake('--call=outline', 'tool-a'), /^WORD\s+HELLO/m);
  assert.match(await bake('--call=targets', 'app'), /^secrets\s/m);
  serve.rig.write('.', { App: APP.replace('COPY', 'copy') });
  const checked = await serve.buildx(['bake', '--check', 'app'], { env, expect: 1 });
  assert.match(checked.stdout, 'ConsistentInstructionCasing');
});

test('bake reads JSON and compose files, and settings on its command line', async () => {
  await using serve = await bakery();
  const { rig } = serve;
  // At this address there is no registry.
  await rig.kiln(['tag', 'busybox', '127.0.0.1:9/base:1'], { expect: 0 });
  rig.write('.', {
    'a.json': JSON.stringify({
      target: {
        both: { 'dockerfile-inline': 'FROM 127.0.0.1:9/base:1\nARG A\nARG B\nRUN echo "$A $B"\n' },
      },
    }),
    'compose.yaml': `
services:
  both:
    image: both
    build:
      context: .
      args: { A: compose, B: compose }
`,
  });
  const bake = async (...args: string[]) =>
    (await serve.buildx(['bake', '-f', 'compose.yaml', '-f', 'a.json', ...args], { env })).stderr;
  const set = ['--set', 'both.args.B=set', '--set', '*.output=type=image'];
  assert.match(await bake(...set), /^#\d+ [\d.]+ compose set$/m);
  await rig.kiln(['inspect', 'both'], { expect: 0 });
  const cached = await bake('--set', 'both.args.B=set', 'both');
  assert.match(cached, /RUN echo .*\n#\d+ CACHED/);
  const again = await bake('--set', 'both.args.B=set', '--no-cache', 'both');
  assert.match(again, /^#\d+ [\d.]+ compose set$/m);
  const files = ['bake', '--file', 'compose.yaml', '--file', 'a.json'];
  const failed = await serve.buildx([...files, '--load'], { env, expect: 1 });
  assert.match(failed.stderr, 'the client needs a Docker engine');
  const pulling = await serve.buildx([...files, '--pull'], { env, expect: 1 });
  assert.match(pulling.stderr, 'cannot reach registry 127.0.0.1:9');
  const quiet = await serve.buildx([...files, '--progress=quiet', '--builder', 'k'], {
    env: { BUILDX_BUILDER: 'nobody' },
  });
  assert.is(quiet.stdout, '');
});

test('each flag of the help of docker buildx bake is in a test', async () => {
  await using serve = await ServeRig.create();
  const { stdout } = await serve.buildx(['bake', '--help']);
  const flags = [...stdout.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag = '']) => flag);
  assert.ok(flags.length > 15, stdout);
  const tests = readFileSync(import.meta.filename, 'utf8');
  // The first prints this text, the second adds messages of buildx itself.
  const untested = ['--help', '--debug'];
  for (const flag of flags) assert.ok(untested.includes(flag) || tests.includes(`'${flag}`), flag);
});

test('bake reads its definition and contexts out of a git repository', async () => {
  await using serve = await ServeRig.create('busybox');
  using made = new Repositories();
  made.commit('r', {
    'docker-bake.hcl': `
target "default" { output = ["type=local,dest=out"] }
target "sub" {
  context = "sub"
  args = { WORD = "argument" }
}
target "named" {
  contexts = { other = "sub" }
  dockerfile-inline = "FROM busybox\\nRUN --mount=from=other,target=/o cat /o/sub/f"
}
target "linked" {
  contexts = { base = "target:sub" }
  dockerfile-inline = "FROM base\\nCOPY top /\\nRUN cat /f /top"
}
target "here" {
  context = "cwd://here"
  dockerfile-inline = "FROM busybox\\nRUN --mount=target=/c cat /c/local"
}
`,
    Dockerfile: 'FROM scratch\nCOPY top /\n',
    top: 'file of the repository\n',
    'sub/Dockerfile': 'FROM busybox\nARG WORD\nCOPY f /\nRUN echo "an $WORD"; cat /f\n',
    'sub/f': 'file of a directory\n',
  });
  made.publish('r');
  await using git = await serveGit(made.served);
  serve.rig.write('here', { local: 'file of the client\n' });
  const url = `${git.url}/r.git`;
  const bake = async (...targets: string[]) =>
    (await serve.buildx(['bake', '--allow=fs=*', url, ...targets], { env })).stderr;
  await bake();
  assert.is(readFileSync(serve.rig.path('out/top'), 'utf8'), 'file of the repository\n');
  const says = (told: string, ...lines: readonly string[]) => {
    for (const line of lines) assert.match(told, new RegExp(`^#\\d+ [\\d.]+ ${line}$`, 'm'));
  };
  says(await bake('sub'), 'an argument', 'file of a directory');
  says(await bake('named'), 'file of a directory');
  says(await bake('linked'), 'file of a directory', 'file of the repository');
  says(await bake('here'), 'file of the client');
});

const missing = registryMissing();
if (missing) console.log(`SKIP bake --push: ${missing}`);
else
  test('bake --push pushes what has a name, with the attestations of its flags', async () => {
    await using registry = await startRegistry();
    await using serve = await bakery();
    const to = `${registry.host}/bake/app`;
    const args = ['--push', '--provenance=mode=max', '--sbom=true', 'app'];
    await serve.buildx(['bake', '--allow=fs=*', ...args], {
      env: { ...env, REGISTRY: registry.host, TAG: 'two' },
    });
    const inspect = async (format: string) =>
      JSON.parse(
        (await serve.buildx(['imagetools', 'inspect', '--format', format, `${to}:two`])).stdout,
      );
    const { invocation } = await inspect('{{json .Provenance.SLSA}}');
    assert.is(invocation.parameters.args['build-arg:WORD'], 'HELLO');
    assert.is((await inspect('{{json .SBOM.SPDX}}')).spdxVersion, 'SPDX-2.3');
    assert.is((await inspect('{{json .Manifest}}')).manifests.length, 2);
  });

test.run();
