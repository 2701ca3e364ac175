import { linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { Rig, ROOT, run } from './rig.ts';
import { violations } from './schema/validate.ts';

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly platform?: { readonly os: string; readonly architecture: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Statement {
  readonly _type: string;
  readonly predicateType: string;
  readonly subject: readonly {
    readonly name: string;
    readonly digest: { readonly sha256: string };
  }[];
  // biome-ignore lint/suspicious/noExplicitAny: the form of a predicate depends on its type.
  readonly predicate: any;
}

const DOCKERFILE = `FROM busybox
ARG TOKEN
ARG PLAIN
LABEL note=$PLAIN
COPY hello.txt /
RUN --mount=type=secret,id=key cat /run/secrets/key > /dev/null
`;

async function prepared(): Promise<Rig> {
  const rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: DOCKERFILE, 'hello.txt': 'hello' });
  rig.write('s', { key: 'the-secret-itself' });
  return rig;
}

const FLAGS = [
  '--build-arg',
  'TOKEN=t0k3n',
  '--build-arg',
  'PLAIN=pl41n',
  '--label',
  'who=l4b3l',
  '--secret',
  'id=key,src=s/key',
];

/** Reads the OCI layout of `--output type=oci,tar=false`. Each document must match its schema. */
function layout(rig: Rig, directory: string) {
  const text = (digest: string) =>
    readFileSync(rig.path(directory, 'blobs/sha256', digest.slice(7)), 'utf8');
  const valid = (digest: string, kind: string) => {
    const document = JSON.parse(text(digest));
    assert.equal(violations(document, kind), [], text(digest));
    return document;
  };
  const top = JSON.parse(readFileSync(rig.path(directory, 'index.json'), 'utf8'));
  assert.equal(violations(top, 'index'), []);
  assert.equal(
    violations(JSON.parse(readFileSync(rig.path(directory, 'oci-layout'), 'utf8')), 'layout'),
    [],
  );
  const [root] = top.manifests as Entry[];
  const isIndex = root?.mediaType.includes('index') ?? false;
  const entries: Entry[] = isIndex ? valid(root!.digest, 'index').manifests : [root];
  const manifests = entries.map((entry) => {
    const manifest = valid(entry.digest, 'manifest');
    // An artifact has `{}` in the place of a config.
    if (manifest.artifactType === undefined) valid(manifest.config.digest, 'config');
    return { entry, manifest };
  });
  const statements = (about: string): Statement[] =>
    manifests
      .filter(({ entry }) => entry.annotations?.['vnd.docker.reference.digest'] === about)
      .flatMap(({ manifest }) =>
        manifest.layers.map(({ digest }: Entry) => JSON.parse(text(digest))),
      );
  return { root: root!, entries, manifests, statements };
}

test('a build without the flags makes a plain manifest without attestations', async () => {
  await using rig = await prepared();
  await rig.build('c', ...FLAGS, '-o', 'type=oci,dest=l,tar=false', '--provenance=false');
  const { root, entries } = layout(rig, 'l');
  assert.is(root.mediaType, 'application/vnd.oci.image.manifest.v1+json');
  assert.is(entries.length, 1);
});

test("provenance and SBOM stand beside each image in the index, as BuildKit's do", async () => {
  await using rig = await prepared();
  rig.write('p', { Dockerfile: 'FROM busybox\nCOPY hello.txt /\n', 'hello.txt': 'hello' });
  await rig.build(
    'p',
    '--platform=linux/amd64,linux/arm64',
    '--provenance=true',
    '--sbom=true',
    '-o',
    'type=oci,dest=l,tar=false,name=example.com/team/app:1',
  );
  const { entries, manifests, statements } = layout(rig, 'l');
  assert.equal(
    entries.map(({ platform }) => `${platform?.os}/${platform?.architecture}`),
    ['linux/amd64', 'linux/arm64', 'unknown/unknown', 'unknown/unknown'],
  );
  assert.equal(
    manifests.map(({ manifest }) => manifest.subject?.digest),
    [undefined, undefined, entries[0]!.digest, entries[1]!.digest],
  );
  for (const image of entries.slice(0, 2)) {
    const found = statements(image.digest);
    assert.equal(
      found.map(({ predicateType }) => predicateType),
      ['https://spdx.dev/Document', 'https://slsa.dev/provenance/v1'],
    );
    for (const { _type, subject } of found) {
      assert.is(_type, 'https://in-toto.io/Statement/v1');
      assert.is(subject[0]?.digest.sha256, image.digest.slice(7));
      assert.is(
        subject[0]?.name,
        `pkg:docker/example.com/team/app@1?platform=linux%2F${image.platform?.architecture}`,
      );
    }
  }
  assert.equal(
    entries.slice(2).map(({ annotations }) => annotations?.['vnd.docker.reference.type']),
    ['attestation-manifest', 'attestation-manifest'],
  );
});

test('without oci-artifact, an attestation is an image that names no subject', async () => {
  await using rig = await prepared();
  const to = (options: string) => [
    '--provenance=true',
    '-o',
    `type=oci,dest=l,tar=false${options}`,
  ];
  await rig.build('c', ...FLAGS, ...to(',oci-artifact=false'));
  const [, attestation] = layout(rig, 'l').manifests;
  assert.is(attestation?.manifest.subject, undefined);
  assert.is(attestation?.manifest.config.mediaType, 'application/vnd.oci.image.config.v1+json');
  const flags = [...FLAGS, ...to(',oci-mediatypes=false')];
  const refused = (await rig.kiln(['build', ...flags, 'c'], { expect: 2 })).stderr;
  assert.match(refused, /an attestation conflicts with oci-mediatypes=false/);
});

for (const version of ['v1', 'v0.2']) {
  test(`provenance ${version}: mode=min has no value of the user, mode=max no secret`, async () => {
    await using rig = await prepared();
    const said = async (mode: string) => {
      const out = `type=oci,dest=${mode},tar=false`;
      await rig.build(
        'c',
        ...FLAGS,
        '--provenance',
        `mode=${mode},version=${version},builder-id=https://ci.example.com/7`,
        '-o',
        out,
      );
      const { entries, statements } = layout(rig, mode);
      const [statement] = statements(entries[0]!.digest);
      assert.is(statement?.predicateType, `https://slsa.dev/provenance/${version}`);
      return { text: JSON.stringify(statement), predicate: statement!.predicate };
    };
    const least = await said('min');
    for (const value of [
      't0k3n',
      'pl41n',
      'l4b3l',
      'TOKEN',
      'the-secret-itself',
      rig.directory,
      '"key"',
    ])
      assert.not(least.text.includes(value), value);
    assert.match(least.text, /pkg:docker\/busybox@latest\?platform=linux%2F/);
    assert.match(least.text, /https:\/\/ci\.example\.com\/7/);
    const most = await said('max');
    for (const value of ['t0k3n', 'pl41n', 'l4b3l', '"key"', 'llbDefinition', 'hello.txt'])
      assert.ok(most.text.includes(value), value);
    for (const value of ['the-secret-itself', rig.directory])
      assert.not(most.text.includes(value), value);
    const source =
      version === 'v1'
        ? most.predicate.runDetails.metadata.buildkit_metadata.source
        : most.predicate.metadata['https://mobyproject.org/buildkit@v1#metadata'].source;
    assert.is(Buffer.from(source.infos[0].data, 'base64').toString(), DOCKERFILE);
  });
}

test("the graph in mode=max has the same steps as Docker's", async () => {
  const golden = join(ROOT, 'exporter/attest/golden');
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: readFileSync(join(golden, 'Dockerfile')) });
  const secrets = ['--secret', 'id=tok,env=HOME', '--secret', 'id=s1,env=HOME'];
  const flags = [
    '--provenance=mode=max',
    '--build-arg',
    'X=hello',
    '--network=host',
    '--no-cache',
    '--platform=linux/amd64',
  ];
  await rig.build(
    'c',
    ...flags,
    ...secrets,
    '-o',
    'type=oci,dest=l,tar=false,name=reg.example/app:1',
  );
  const { entries, statements } = layout(rig, 'l');
  const comparable = ({ subject, predicate }: Statement) => {
    const { externalParameters, internalParameters } = predicate.buildDefinition;
    const { llbDefinition } = internalParameters.buildConfig;
    const { source } = predicate.runDetails.metadata.buildkit_metadata;
    const [read] = source.infos.map((info: Record<string, unknown>) => info['llbDefinition']);
    const text = JSON.stringify(
      { name: subject[0]?.name, externalParameters, llbDefinition, read },
      (name, value) =>
        // Kiln and Docker have different names for the directory of the caller, and Docker 28 does
        // not tell the version yet.
        name === 'local.sharedkeyhint' || name === 'compatibilityVersion' ? undefined : value,
    );
    return JSON.parse(text.replace(/sha256:[0-9a-f]{64}/g, 'a digest'));
  };
  const expected = JSON.parse(readFileSync(join(golden, 'v1-max.statement.golden'), 'utf8'));
  assert.equal(comparable(statements(entries[0]!.digest)[0]!), comparable(expected));
});

test('with SOURCE_DATE_EPOCH an attested build is the same in two stores', async () => {
  const digests: string[] = [];
  for (let round = 0; round < 2; round++) {
    await using rig = await prepared();
    const flags = [
      ...FLAGS,
      '--provenance=mode=max',
      '--sbom=true',
      '--build-arg',
      'SOURCE_DATE_EPOCH=1700000000',
    ];
    await rig.build('c', ...flags, '-o', 'type=oci,dest=l,tar=false');
    digests.push(layout(rig, 'l').root.digest);
  }
  assert.is(digests[0], digests[1]);
});

test('an SBOM lists what package managers have installed, and what it could not read', async () => {
  await using rig = await Rig.create();
  rig.write('c', {
    Dockerfile: 'FROM scratch\nCOPY . /\n',
    'etc/os-release': 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n',
    'var/lib/dpkg/status': `Package: libc6\nStatus: install ok installed
Architecture: amd64\nVersion: 2.36-9+deb12u9\nDescription: x\n more\n
Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n
Package: ev"il\nStatus: install ok installed\nVersion: 1\n`,
    'lib/apk/db/installed': 'P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\n',
    'app/node_modules/@scope/lib/package.json':
      '{"name":"@scope/lib","version":"1.2.3","license":"ISC"}',
    'app/node_modules/broken/package.json': '{"name":',
    'var/lib/rpm/rpmdb.sqlite': 'no database',
  });
  const told = await rig.build('c', '--sbom=true', '-o', 'type=oci,dest=l,tar=false');
  const { entries, statements } = layout(rig, 'l');
  const document = statements(entries[0]!.digest)[0]?.predicate;
  assert.is(document.spdxVersion, 'SPDX-2.3');
  const urls = document.packages.flatMap(
    (item: { externalRefs?: { referenceLocator: string }[] }) =>
      (item.externalRefs ?? []).map(({ referenceLocator }) => referenceLocator),
  );
  assert.equal(urls, [
    'pkg:apk/debian/musl@1.2.5-r0?arch=x86_64&distro=debian-12',
    'pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12',
    'pkg:npm/%40scope/lib@1.2.3',
  ]);
  assert.match(told, /\/var\/lib\/rpm are not in the SBOM/);
  assert.match(document.comment, /var\/lib\/rpm/);
});

test('a package database that leads out of the image is not followed', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', {
    Dockerfile: `FROM busybox
RUN mkdir -p /var/lib/dpkg /lib/apk/db && ln -s ../../../../../../var/lib/dpkg/status \
/var/lib/dpkg/status && mkfifo /lib/apk/db/installed
`,
  });
  await rig.build('c', '--sbom=true', '-o', 'type=oci,dest=l,tar=false');
  const { entries, statements } = layout(rig, 'l');
  assert.is(statements(entries[0]!.digest)[0]?.predicate.packages.length, 1);
});

/**
 * The subjects that Docker 28.5 lists for this tree: every regular file by each of its names, also
 * the file whose name an attestation has.
 */
const TREE = { 'in/a': 'z\n', 'in/provenance.json': 'own\n', 'in/sub/f': '' };
const SUBJECTS = [
  ['a', 'c865f6c5ab8d1b0bcd383a5e1e3879d22681c96bf462c269b7581d523fbe70ab'],
  ['provenance.json', '7e6518373b1a8cf5eed9717076284744ba44ace422c7877442aebcceecc42a23'],
  ['sub/f', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['z', 'c865f6c5ab8d1b0bcd383a5e1e3879d22681c96bf462c269b7581d523fbe70ab'],
];

const subjectsOf = (text: string) =>
  (JSON.parse(text) as Statement).subject.map(({ name, digest }) => [name, digest.sha256]);

test('in a directory the statements stand beside the files that they are about', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY in /\n', ...TREE });
  linkSync(rig.path('c/in/a'), rig.path('c/in/z'));
  symlinkSync('a', rig.path('c/in/link'));
  mkdirSync(rig.path('out'));
  symlinkSync('/dev/null', rig.path('out/sbom.spdx.json'));
  const flags = ['--provenance=true', '--sbom=true', '--build-arg', 'SOURCE_DATE_EPOCH=1700000000'];
  assert.not.match(await rig.build('c', ...flags, '-o', 'type=local,dest=out'), /warning/i);
  assert.equal(readdirSync(rig.path('out')).sort(), [
    'a',
    'link',
    'provenance.json',
    'sbom.spdx.json',
    'sub',
    'z',
  ]);
  for (const name of ['provenance.json', 'sbom.spdx.json']) {
    const text = readFileSync(rig.path('out', name), 'utf8');
    assert.equal(subjectsOf(text), SUBJECTS);
    assert.ok(
      text.startsWith(
        '{\n  "_type": "https://in-toto.io/Statement/v1",\n  "predicateType": "https://s',
      ),
    );
    const { mode, mtimeMs } = lstatSync(rig.path('out', name));
    assert.is(mode, 0o100600);
    assert.is(mtimeMs, 1_700_000_000_000);
  }
  await rig.build('c', ...flags, '-o', 'type=tar,dest=out.tar,attestation-prefix=x-');
  const { stdout } = await run(['tar', 'tf', rig.path('out.tar')], { expect: 0 });
  assert.equal(stdout.trim().split('\n').sort(), [
    'a',
    'link',
    'provenance.json',
    'sub/',
    'sub/f',
    'x-provenance.json',
    'x-sbom.spdx.json',
    'z',
  ]);
  const told = await run(['tar', 'xOf', rig.path('out.tar'), 'x-provenance.json'], { expect: 0 });
  assert.equal(subjectsOf(told.stdout), SUBJECTS);
  await rig.build('c', '--provenance=filename=origin.json', '-o', 'type=local,dest=named');
  assert.equal(readdirSync(rig.path('named')).sort(), [
    'a',
    'link',
    'origin.json',
    'provenance.json',
    'sub',
    'z',
  ]);
  assert.is(readFileSync(rig.path('named/provenance.json'), 'utf8'), 'own\n');
  assert.equal(subjectsOf(readFileSync(rig.path('named/origin.json'), 'utf8')), SUBJECTS);
  const refused = await rig.kiln(
    ['build', '-o', 'type=tar,dest=x.tar,attestation-prefix=../x-', 'c'],
    { expect: 2 },
  );
  assert.match(refused.stderr, /cannot begin a file name/);
});

test('of several platforms each has its statements, in its directory or by its name', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY in/a /$TARGETARCH\n', ...TREE });
  const built = (output: string) =>
    rig.build('c', '--platform=linux/amd64,linux/arm/v7', '--provenance=true', '-o', output);
  await built('type=local,dest=split,attestation-prefix=x-');
  assert.equal(readdirSync(rig.path('split/linux_arm_v7')).sort(), ['arm', 'x-provenance.json']);
  await built('type=local,dest=one,platform-split=false');
  const names = ['amd64', 'arm', 'provenance.linux_amd64.json', 'provenance.linux_arm_v7.json'];
  assert.equal(readdirSync(rig.path('one')).sort(), names);
  assert.equal(
    subjectsOf(readFileSync(rig.path('one/provenance.linux_arm_v7.json'), 'utf8')).map(
      ([name]) => name,
    ),
    ['arm'],
  );
  rig.write('c', { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY in/a /same\n' });
  const twice = await rig.kiln(
    [
      'build',
      'c',
      '--platform=linux/amd64,linux/arm/v7',
      '-o',
      'type=local,dest=twice,platform-split=false',
    ],
    { expect: 1 },
  );
  assert.match(
    twice.stderr,
    /cannot overwrite same from linux\/amd64 with linux\/arm\/v7 when split option is disabled/,
  );
  rig.write('c', { Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY in/a /$TARGETARCH\n' });
  await built('type=tar,dest=out.tar');
  const { stdout } = await run(['tar', 'tf', rig.path('out.tar')], { expect: 0 });
  assert.equal(
    stdout.trim().split('\n'),
    ['linux_amd64', 'linux_arm_v7'].flatMap((place, index) => [
      `${place}/`,
      `${place}/provenance.json`,
      `${place}/${names[index]}`,
    ]),
  );
});

test('attestations that cannot be written are refused before anything is built', async () => {
  await using rig = await prepared();
  const refused = async (...args: string[]) =>
    (await rig.kiln(['build', ...args, 'c'], { expect: 2 })).stderr;
  assert.match(
    await refused('--provenance=mode=most'),
    /unknown mode "most" \[KILN_ATTEST_INVALID\]/,
  );
  assert.match(await refused('--attest', 'type=signature'), /unknown type "signature"/);
  assert.match(await refused('--attest', 'type=sbom', '--sbom=true'), /requested twice/);
  assert.match(
    await refused('--sbom=generator=Scanner'),
    /generator="Scanner" is not the name of an image/,
  );
  assert.match(
    await refused('--attest', 'type=provenance,mod=max'),
    /unknown attribute "mod" \(did you mean mode\?\)/,
  );
});

test('an attested image of two platforms is pushed, pulled, unpacked and kept intact', async () => {
  const missing = registryMissing();
  if (missing) return console.log(`SKIP attested push: ${missing}`);
  await using registry = await startRegistry();
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY hello.txt /\n', 'hello.txt': 'hello' });
  const name = `${registry.host}/team/app:1`;
  await rig.build(
    'c',
    '--platform=linux/amd64,linux/arm64',
    '--provenance=true',
    '--sbom=true',
    '-t',
    name,
    '--push',
  );
  for (const arch of ['amd64', 'arm64']) {
    const copy = [
      'skopeo',
      '--override-arch',
      arch,
      'copy',
      '--quiet',
      '--src-tls-verify=false',
      `docker://${name}`,
    ];
    await run([...copy, `oci:${rig.path(arch)}:x`], { expect: 0 });
    await run(['umoci', 'unpack', '--image', `${rig.path(arch)}:x`, rig.path(`${arch}-bundle`)], {
      expect: 0,
    });
    assert.is(readFileSync(rig.path(`${arch}-bundle/rootfs/hello.txt`), 'utf8'), 'hello');
    const machine = readFileSync(rig.path(`${arch}-bundle/rootfs/bin/busybox`)).readUInt16LE(18);
    assert.is(machine, arch === 'amd64' ? 62 : 183);
  }
  // The pushed image is still complete in this store, and survives a collection.
  await rig.build('c', '--provenance=true', '-t', 'kept:1');
  await rig.kiln(['prune', '--all', '--force'], { expect: 0 });
  assert.match((await rig.kiln(['fsck'], { expect: 0 })).stdout, /sound/);
  await rig.kiln(['save', '--output', 'kept.tar', 'kept:1'], { expect: 0 });
  await run(['skopeo', 'inspect', `oci-archive:${rig.path('kept.tar')}`], { expect: 0 });
});

test('annotations are where their prefixes say, in every output that is an image', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nCOPY hello.txt /\n', 'hello.txt': 'hello' });
  await rig.build(
    'c',
    '--platform=linux/amd64,linux/arm64',
    ...[
      '--annotation',
      'plain=m',
      '--annotation',
      'index,manifest:both=b',
      '--annotation',
      'manifest[linux/arm64]:arm=a',
    ],
    ...['--annotation', 'manifest-descriptor:entry=e', '--annotation', 'index-descriptor:top=t'],
    ...['--annotation', 'org.example:with-colon=c'],
    ...[
      '-o',
      'type=oci,dest=one,tar=false',
      '-o',
      'type=oci,dest=two,tar=false',
      '-o',
      'type=local,dest=files',
    ],
  );
  for (const directory of ['one', 'two']) {
    const { root, entries, manifests } = layout(rig, directory);
    assert.is(root.annotations?.['top'], 't');
    for (const { entry, manifest } of manifests) {
      const arm = entry.platform?.architecture === 'arm64';
      assert.equal(manifest.annotations, {
        plain: 'm',
        both: 'b',
        'org.example:with-colon': 'c',
        ...(arm ? { arm: 'a' } : {}),
      });
      assert.equal(entry.annotations, { entry: 'e' });
    }
    assert.is(entries.length, 2);
    const index = JSON.parse(
      readFileSync(rig.path(directory, 'blobs/sha256', root.digest.slice(7)), 'utf8'),
    );
    assert.equal(index.annotations, { both: 'b' });
  }
  assert.is(readFileSync(rig.path('files/linux_arm64/hello.txt'), 'utf8'), 'hello');
});

test('a push by digest sets no tag, and the store keeps the name with the digest', async () => {
  const missing = registryMissing();
  if (missing) return console.log(`SKIP push by digest: ${missing}`);
  await using registry = await startRegistry();
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nLABEL a=b\n' });
  const name = `${registry.host}/app`;
  const output = `type=image,name=${name},push-by-digest=true,name-canonical=true,push=true`;
  await rig.build('c', '-o', output, '--metadata-file', 'm.json');
  const metadata = JSON.parse(readFileSync(rig.path('m.json'), 'utf8'));
  const digest = metadata['containerimage.digest'];
  assert.is(metadata['containerimage.descriptor'].digest, digest);
  assert.is(metadata['image.name'], `${registry.host}/app`);
  assert.match(metadata['buildx.build.ref'], /^kiln\/kiln\/\d/);
  await run(
    ['skopeo', 'inspect', '--raw', '--tls-verify=false', `docker://${registry.host}/app@${digest}`],
    { expect: 0 },
  );
  const tagged = await run([
    'skopeo',
    'inspect',
    '--raw',
    '--tls-verify=false',
    `docker://${registry.host}/app:latest`,
  ]);
  assert.is.not(tagged.code, 0);
  const images = (await rig.kiln(['images'], { expect: 0 })).stdout;
  assert.match(images, new RegExp(`^${registry.host}/app +<none>`, 'm'));
  await rig.kiln(['run', `${registry.host}/app@${digest}`, 'true'], { expect: 0 });
  const refused = await rig.kiln(['build', '-o', output.replace('/app,', '/app:1,'), 'c'], {
    expect: 2,
  });
  assert.match(refused.stderr, /a push by digest writes no tag/);
});

test('an output that no exporter can write is refused with a hint', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\n' });
  const refused = async (...args: string[]) =>
    (await rig.kiln(['build', ...args, 'c'], { expect: 2 })).stderr;
  assert.match(
    await refused('-o', 'type=oci,dest=x,compression=estargz'),
    /compression=estargz is not supported.*\n.*zstd/,
  );
  assert.match(await refused('--annotation', 'novalue'), /KILN_ANNOTATION_INVALID/);
});

test.run();
