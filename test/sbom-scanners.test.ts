import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { Rig, steps } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

/*
 * SBOMs by images that follow BuildKit's protocol. The scanner here lists the files of each tree,
 * and tells what it was called with.
 */

const SCAN = `#!/bin/sh
set -e
scan() {
  name=$(basename "$1")
  files=$(cd "$1" && find . -type f -size -2 | sort | sed 's/.*/{"fileName":"&"}/' | paste -sd, -)
  cat >"$BUILDKIT_SCAN_DESTINATION/$name.spdx.json" <<END
{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document",
"predicate":{"name":"$name","word":"$BUILDKIT_SCAN_WORD","own":"$OWN","at":"$(pwd)",
"sees":"$(ls /run | paste -sd, -)","files":[$files]}}
END
}
echo ran >/left-in-the-scanner
! touch "$BUILDKIT_SCAN_SOURCE/written" 2>/dev/null
touch /tmp/writable
scan "$BUILDKIT_SCAN_SOURCE"
for tree in "$BUILDKIT_SCAN_SOURCE_EXTRAS"*; do
  [ -z "$BUILDKIT_SCAN_SOURCE_EXTRAS" ] || scan "$tree"
done
`;
const SCANNER = `FROM busybox
ENV OWN="of the image"
WORKDIR /work
COPY --chmod=755 scan /bin/scan
ENTRYPOINT ["scan"]
`;
const APP = `ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
FROM busybox AS unused
ARG BUILDKIT_SBOM_SCAN_STAGE=true
RUN touch /unused
FROM scratch AS first
ARG BUILDKIT_SBOM_SCAN_STAGE=first,other
COPY a.txt /first.txt
FROM scratch AS second
ARG BUILDKIT_SBOM_SCAN_STAGE=other
COPY a.txt /second.txt
FROM scratch
COPY --from=first first.txt /
COPY --from=second second.txt /
`;

interface Statement {
  readonly predicateType: string;
  readonly predicate: {
    readonly name: string;
    readonly word: string;
    readonly own: string;
    readonly at: string;
    readonly sees: string;
    readonly files: readonly { readonly fileName: string }[];
  };
  readonly subject: readonly { readonly name: string }[];
}

function statements(rig: Rig, directory: string): Record<string, Statement> {
  return Object.fromEntries(
    readdirSync(rig.path(directory))
      .filter((name) => name.endsWith('.json'))
      .map((name) => [name, JSON.parse(readFileSync(rig.path(directory, name), 'utf8'))]),
  );
}

async function prepared(rig: Rig): Promise<Rig> {
  rig.write('scanner', { Dockerfile: SCANNER, scan: SCAN });
  rig.write('c', { Dockerfile: APP, 'a.txt': 'a' });
  await rig.build('scanner', '-t', 'scanner:1');
  return rig;
}

const filesOf = ({ predicate }: Statement) => predicate.files.map(({ fileName }) => fileName);

test('a generator scans the result, and the stages and the context that are named', async () => {
  await using rig = await prepared(await Rig.create('busybox'));
  const sbom = '--sbom=generator=scanner:1,WORD=said,"LIST=a,b"';
  const told = await rig.build('c', sbom, '-o', 'out');
  const made = statements(rig, 'out');
  assert.equal(Object.keys(made), [
    'sbom-context.spdx.json',
    'sbom-first.spdx.json',
    'sbom.spdx.json',
  ]);
  assert.equal(filesOf(made['sbom.spdx.json']!), ['./first.txt', './second.txt']);
  assert.equal(filesOf(made['sbom-first.spdx.json']!), ['./first.txt']);
  assert.ok(filesOf(made['sbom-context.spdx.json']!).includes('./a.txt'));
  const { predicate, subject, predicateType } = made['sbom.spdx.json']!;
  assert.is(predicateType, 'https://spdx.dev/Document');
  assert.is(predicate.word, 'said');
  assert.is(predicate.own, 'of the image');
  assert.is(predicate.at, '/work');
  assert.is(predicate.sees, 'out,src');
  assert.equal(
    subject.map(({ name }) => name),
    ['first.txt', 'second.txt'],
  );
  const scans = (text: string) =>
    [...steps(text)].filter(([name]) => name.includes('generating sbom using'));
  assert.equal(
    scans(told).map(([name, end]) => [name.replace(/^\[.*\]/, '[…]'), end]),
    [['[…] generating sbom using docker.io/library/scanner:1', 'DONE']],
  );
  // The same build again scans nothing, unless nothing may come from the cache.
  assert.equal(
    scans(await rig.build('c', sbom, '-o', 'again')).map(([, end]) => end),
    ['CACHED'],
  );
  assert.equal(statements(rig, 'again')['sbom.spdx.json'], made['sbom.spdx.json']);
  const fresh = await rig.build('c', sbom, '--no-cache', '-o', 'fresh');
  assert.equal(
    scans(fresh).map(([, end]) => end),
    ['DONE'],
  );
});

const OWN = `
FROM scratch AS build
ARG BUILDKIT_SBOM_SCAN_STAGE=true
COPY status /var/lib/dpkg/status
FROM scratch
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
COPY --from=build /var/lib/dpkg/status /kept
COPY . /all
`;
const DPKG = 'Package: tool\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n';
const module = (name: string) => JSON.stringify({ name, version: '1.0.0' });
const OWN_FILES = {
  Dockerfile: OWN,
  '.dockerignore': 'hidden',
  status: DPKG,
  'node_modules/seen/package.json': module('seen'),
  'hidden/node_modules/unseen/package.json': module('unseen'),
};

interface Packages {
  readonly predicate: { readonly packages: readonly { readonly name: string }[] };
}

function packagesIn(rig: Rig, directory: string): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(statements(rig, directory) as unknown as Record<string, Packages>).map(
      ([file, { predicate }]) => [file, predicate.packages.slice(1).map(({ name }) => name)],
    ),
  );
}
const OWN_SBOMS = {
  'sbom-build.spdx.json': ['tool'],
  'sbom-context.spdx.json': ['seen'],
  'sbom.spdx.json': ['seen'],
};

test("Kiln's own SBOM tells the stages and the context that the file names", async () => {
  await using rig = await Rig.create();
  rig.write('c', OWN_FILES);
  await rig.build('c', '--sbom=true', '-o', 'out');
  assert.equal(packagesIn(rig, 'out'), OWN_SBOMS);
  await rig.build('c', '--sbom=true', '--build-arg=BUILDKIT_SBOM_SCAN_STAGE=no', '-o', 'less');
  assert.equal(Object.keys(packagesIn(rig, 'less')), ['sbom-context.spdx.json', 'sbom.spdx.json']);
});

test('a client of a server has these SBOMs, too', async () => {
  await using serve = await ServeRig.create();
  serve.rig.write('c', OWN_FILES);
  await serve.buildx(['build', '--sbom=true', '--provenance=false', '-o', 'out', 'c']);
  assert.equal(packagesIn(serve.rig, 'out'), OWN_SBOMS);
});

test('each platform has its SBOM, and provenance names the generator', async () => {
  await using rig = await prepared(await Rig.create('busybox'));
  rig.write('p', {
    Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY a.txt /$TARGETARCH\n',
    'a.txt': 'a',
  });
  await rig.build(
    'p',
    '--platform=linux/amd64,linux/arm64',
    '--attest=type=sbom,generator=scanner:1',
    '--provenance=mode=max',
    '-o',
    'out',
  );
  for (const arch of ['amd64', 'arm64']) {
    const made = statements(rig, `out/linux_${arch}`);
    assert.equal(filesOf(made['sbom.spdx.json']!), [`./${arch}`]);
    const provenance = JSON.stringify(made['provenance.json']);
    assert.match(provenance, /pkg:docker\/scanner@1/);
  }
});

test('a generator that fails, says nonsense or is none ends the build', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY a.txt /\n', 'a.txt': 'a' });
  const scanner = async (name: string, command: string) => {
    rig.write(name, { Dockerfile: `FROM busybox\n${command}\n` });
    await rig.build(name, '-t', `${name}:1`);
  };
  const refused = async (name: string, code: number) => {
    const args = ['build', '--progress=plain', `--sbom=generator=${name}`, '-o', 'out', 'c'];
    return (await rig.kiln(args, { expect: code })).stderr;
  };
  await scanner('fails', 'CMD ["sh", "-c", "echo no scan today >&2; exit 3"]');
  const told = await refused('fails:1', 1);
  assert.match(told, /no scan today/);
  assert.match(told, /KILN_STEP_FAILED/);
  await scanner('garbage', 'CMD ["sh", "-c", "echo x >$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"]');
  assert.match(await refused('garbage:1', 1), /"\/sbom.spdx.json" .* it is not JSON/);
  await scanner('idle', 'CMD []');
  assert.match(await refused('idle:1', 1), /the SBOM generator idle:1 has no command/);
  assert.match(await refused('UPPER', 2), /generator="UPPER" is not the name of an image/);
  assert.match(await refused('127.0.0.1:9/none:1', 1), /127\.0\.0\.1:9/);
});

test('what buildx names scans at a server, with parameters, for files and for a push', async () => {
  const missing = registryMissing();
  if (missing) return console.log(`SKIP generators of buildx: ${missing}`);
  await using registry = await startRegistry();
  await using serve = await ServeRig.create('busybox');
  const { rig } = serve;
  rig.write('scanner', { Dockerfile: SCANNER, scan: SCAN });
  rig.write('c', { Dockerfile: APP, 'a.txt': 'a' });
  const generator = `${registry.host}/scanner:1`;
  await serve.buildx(['build', '-t', generator, '--push', 'scanner']);
  const attest = `--attest=type=sbom,generator=${generator},"WORD=with, comma"`;
  await serve.buildx(['build', attest, '-o', 'out', 'c']);
  const made = statements(rig, 'out');
  assert.equal(
    Object.keys(made).filter((name) => name.startsWith('sbom')),
    ['sbom-context.spdx.json', 'sbom-first.spdx.json', 'sbom.spdx.json'],
  );
  assert.is(made['sbom.spdx.json']!.predicate.word, 'with, comma');
  const elsewhere = ['--builder', `unix://${serve.socket}`, '-o', 'elsewhere'];
  await rig.build('c', `--sbom=generator=${generator},"WORD='quoted', too"`, ...elsewhere);
  const { predicate } = statements(rig, 'elsewhere')['sbom.spdx.json']!;
  assert.is(predicate.word, "'quoted', too");
  const image = `${registry.host}/app:1`;
  await serve.buildx(['build', `--sbom=generator=${generator}`, '-t', image, '--push', 'c']);
  const format = '{{json .SBOM}}';
  const inspected = await serve.buildx(['imagetools', 'inspect', image, '--format', format]);
  assert.match(inspected.stdout, /"name":\s*"sbom"/);
  assert.match(inspected.stdout, /first\.txt/);
});

test.run();
