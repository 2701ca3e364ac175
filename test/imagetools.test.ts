import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { digestOf } from '../base/digest.ts';
import { type Descriptor, MEDIA } from '../base/oci.ts';
import { RegistryClient } from '../registry/client.ts';
import { never } from '../registry/testing/client.ts';
import { makeImage, type TestImage } from '../registry/testing/images.ts';
import { publish } from '../registry/testing/publish.ts';
import { registryMissing, startRegistry } from '../registry/testing/registry.ts';
import { Rig, run } from './rig.ts';

const AMD = makeImage([{ name: 'a', text: 'amd' }]);
const ARM = makeImage([{ name: 'a', text: 'arm' }], { os: 'linux', architecture: 'arm64' });
const PROVENANCE = { buildType: 'https://mobyproject.org/buildkit@v1', builder: { id: '<me>' } };

/** An attestation manifest for `subject`, as BuildKit writes it. Its layers are statements. */
function attestation(subject: TestImage): TestImage {
  const blobs = new Map<Descriptor['digest'], Buffer>();
  const keep = (mediaType: string, json: unknown): Descriptor => {
    const bytes = Buffer.from(JSON.stringify(json));
    blobs.set(digestOf(bytes), bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
  };
  const statement = (predicateType: string, predicate: unknown): Descriptor => ({
    ...keep('application/vnd.in-toto+json', {
      _type: 'https://in-toto.io/Statement/v1',
      predicateType,
      predicate,
    }),
    annotations: { 'in-toto.io/predicate-type': predicateType },
  });
  const layers = [
    statement('https://slsa.dev/provenance/v0.2', PROVENANCE),
    statement('https://spdx.dev/Document', { spdxVersion: 'SPDX-2.3' }),
  ];
  const config = {
    architecture: 'unknown',
    os: 'unknown',
    config: {},
    rootfs: { type: 'layers' as const, diff_ids: [] },
  };
  const manifest = {
    schemaVersion: 2 as const,
    mediaType: MEDIA.ociManifest,
    config: keep(MEDIA.ociConfig, config),
    layers,
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const target = {
    mediaType: MEDIA.ociManifest,
    digest: digestOf(bytes),
    size: bytes.length,
    annotations: {
      'vnd.docker.reference.digest': subject.target.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    },
    platform: { os: 'unknown', architecture: 'unknown' },
  };
  return { target, bytes, manifest, config, blobs };
}

/** A document of the type `artifactType` whose subject is `subject`. */
function referring(subject: Descriptor, artifactType: string): TestImage {
  const { mediaType, digest, size } = subject;
  const about = { artifactType, subject: { mediaType, digest, size } };
  const bytes = Buffer.from(JSON.stringify({ ...AMD.manifest, ...about }));
  const target = { mediaType: MEDIA.ociManifest, digest: digestOf(bytes), size: bytes.length };
  return { ...AMD, target, bytes };
}

const ATTESTED = [AMD, ARM, attestation(AMD), attestation(ARM)];

const skip = registryMissing();
const real = (name: string, body: () => Promise<void>) => {
  if (skip) console.log(`SKIP ${name}: ${skip}`);
  else test(name, body);
};

const inspecting =
  (rig: Rig) =>
  async (...args: string[]) =>
    (await rig.kiln(['imagetools', 'inspect', ...args], { expect: 0 })).stdout;

real('inspect shows an index as buildx does, spaces and all', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create();
  const name = await publish(registry.host, 'team/app', '1', ATTESTED.slice(0, 3));
  const shown = (await inspecting(rig)(name)).replace(
    /^(Digest: +)sha256:[0-9a-f]{64}$/m,
    '$1DIGEST',
  );
  const [amd, arm, about] = ATTESTED.map(({ target }) => target.digest);
  const gap = ' '.repeat(15);
  assert.equal(shown.split('\n'), [
    `Name:      ${name}`,
    'MediaType: application/vnd.oci.image.index.v1+json',
    'Digest:    DIGEST',
    '           ',
    'Manifests: ',
    `  Name:        ${name}@${amd}`,
    '  MediaType:   application/vnd.oci.image.manifest.v1+json',
    '  Platform:    linux/amd64',
    gap,
    `  Name:        ${name}@${arm}`,
    '  MediaType:   application/vnd.oci.image.manifest.v1+json',
    '  Platform:    linux/arm64',
    gap,
    `  Name:        ${name}@${about}`,
    '  MediaType:   application/vnd.oci.image.manifest.v1+json',
    '  Platform:    unknown/unknown',
    '  Annotations: ',
    `    vnd.docker.reference.digest: ${amd}`,
    '    vnd.docker.reference.type:   attestation-manifest',
    '',
  ]);
});

real(
  "inspect --raw gives the bytes, --format what it asks for, also for other builders' images",
  async () => {
    await using registry = await startRegistry();
    await using rig = await Rig.create();
    const several = await publish(registry.host, 'team/app', '1', ATTESTED);
    const one = await publish(registry.host, 'team/app', '2', [AMD]);
    const attested = await publish(registry.host, 'team/app', '3', [AMD, attestation(AMD)]);
    const inspect = inspecting(rig);
    const json = async (field: string, name: string) =>
      JSON.parse(await inspect('--format', `{{json ${field}}}`, name));
    assert.is(await inspect('--raw', one), AMD.bytes.toString());
    assert.is(
      await inspect('--format', '{{.Name}} {{.Manifest.Digest}}', one),
      `${one} ${AMD.target.digest}`,
    );
    assert.equal(await json('.Image', one), AMD.config);
    assert.equal(await json('.Image', several), {
      'linux/amd64': AMD.config,
      'linux/arm64': ARM.config,
    });
    assert.equal(await json('.Provenance', several), {
      'linux/amd64': { SLSA: PROVENANCE },
      'linux/arm64': { SLSA: PROVENANCE },
    });
    assert.equal(await json('.Provenance', attested), { SLSA: PROVENANCE });
    assert.equal(await json('.SBOM', attested), { SPDX: { spdxVersion: 'SPDX-2.3' } });
    assert.equal(await json('.Provenance', one), {});
    assert.equal(Object.keys(await json('.', attested)), ['name', 'manifest', 'image']);
    assert.match(
      await inspect('--format', '{{json .Provenance}}', attested),
      '"id": "\\u003cme\\u003e"',
    );
    const before = (await registry.requests()).length;
    await inspect('--format', '{{.Name}}', several);
    assert.is(
      (await registry.requests()).slice(before).filter((line) => line.includes('/blobs/')).length,
      0,
    );
  },
);

real(
  'create makes an index of images from several registries, and copies only missing blobs',
  async () => {
    await using registry = await startRegistry();
    await using second = await startRegistry();
    await using rig = await Rig.create();
    const amd = await publish(registry.host, 'team/amd', '1', [AMD]);
    const arm = await publish(second.host, 'team/arm', '1', [ARM]);
    const to = `${registry.host}/team/both`;
    const create = (...args: string[]) =>
      rig.kiln(['imagetools', 'create', '--progress=none', ...args], { expect: 0 });
    const dry = JSON.parse((await create('--dry-run', '-t', `${to}:1`, amd, arm)).stdout);
    assert.equal(dry, {
      schemaVersion: 2,
      mediaType: MEDIA.ociIndex,
      manifests: [AMD.target, ARM.target],
    });
    const before = (await registry.requests()).length;
    await create('-t', `${to}:1`, '-t', `${to}:2`, amd, arm);
    const requests = (await registry.requests()).slice(before);
    assert.is(
      requests.filter((line) => /\?mount=.* 201$/.test(line)).length,
      AMD.blobs.size,
      'from the same registry: mounted',
    );
    assert.is(
      requests.filter((line) => /^PUT .*\/blobs\//.test(line)).length,
      ARM.blobs.size,
      'from the other: streamed, once',
    );
    for (const tag of ['1', '2']) {
      const read = await run(
        ['skopeo', 'inspect', '--raw', '--tls-verify=false', `docker://${to}:${tag}`],
        { expect: 0 },
      );
      assert.equal(JSON.parse(read.stdout), dry);
    }
    for (const arch of ['amd64', 'arm64'])
      await run(
        [
          'skopeo',
          'copy',
          '-q',
          `--override-arch=${arch}`,
          '--src-tls-verify=false',
          `docker://${to}:1`,
          `dir:${rig.path(arch)}`,
        ],
        {
          expect: 0,
        },
      );
    const unmoved = (await registry.requests()).length;
    await create(
      '-t',
      `${to}:amd`,
      '--platform',
      'linux/amd64',
      '--annotation',
      'index:a=b',
      `${to}:1`,
    );
    const changed = JSON.parse(await inspecting(rig)('--raw', `${to}:amd`));
    assert.equal([changed.manifests, changed.annotations], [[AMD.target], { a: 'b' }]);
    assert.is(
      (await registry.requests()).slice(unmoved).filter((line) => line.includes('/blobs/')).length,
      0,
    );
  },
);

real(
  "create --append adds to the tag's images; sources are files, digests and descriptors",
  async () => {
    await using registry = await startRegistry();
    await using rig = await Rig.create();
    const name = await publish(registry.host, 'team/app', 'amd', [AMD]);
    await publish(registry.host, 'team/app', 'arm', [ARM]);
    const to = `${registry.host}/team/app:all`;
    const create = (...args: string[]) =>
      rig.kiln(['imagetools', 'create', '--progress=none', '-t', to, ...args], { expect: 0 });
    await create(name);
    const platform = { os: 'linux', architecture: 's390x' };
    rig.write('s', {
      source: JSON.stringify({ digest: ARM.target.digest, platform, annotations: { x: 'y' } }),
    });
    await create('--append', ARM.target.digest, '-f', rig.path('s/source'));
    const { manifests } = JSON.parse(await inspecting(rig)('--raw', to));
    assert.equal(manifests, [
      AMD.target,
      { ...ARM.target, platform, annotations: { x: 'y' } },
      ARM.target,
    ]);
  },
);

real('errors of imagetools say what is wrong', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create();
  const name = await publish(registry.host, 'team/app', '1', [AMD]);
  for (const [args, code, exit] of [
    [['inspect', `${registry.host}/no:1`], 'KILN_IMAGE_NOT_FOUND', 1],
    [['inspect', '--format', '{{.Nope}}', name], 'KILN_TEMPLATE_INVALID', 2],
    [['inspect', '--raw', '--format', '{{.Name}}', name], 'KILN_USAGE', 2],
    [['create', name], 'KILN_USAGE', 2],
    [['create', '-t', name], 'KILN_USAGE', 2],
    [['create', '--dry-run', AMD.target.digest], 'KILN_REFERENCE_INVALID', 2],
    [['create', '--dry-run', '--platform', 'linux/s390x', name], 'KILN_PLATFORM_NOT_FOUND', 1],
    [['create', '--dry-run', '--annotation', 'manifest:a=b', name], 'KILN_FLAG_VALUE', 2],
    [['nope'], 'KILN_USAGE', 2],
  ] as const) {
    const failed = await rig.kiln(['imagetools', ...args]);
    assert.is(failed.code, exit, args.join(' '));
    assert.match(failed.stderr, code, args.join(' '));
  }
});

real('create copies what refers to its parts, and writes metadata', async () => {
  await using registry = await startRegistry();
  await using other = await startRegistry();
  await using rig = await Rig.create();
  const name = await publish(registry.host, 'team/app', '1', [AMD, ARM]);
  const signature = referring(AMD.target, 'application/x.signature');
  const counter = referring(signature.target, 'application/x.counter');
  await publish(registry.host, 'team/app', 'signature', [signature]);
  await publish(registry.host, 'team/app', 'counter', [counter]);
  const to = `${other.host}/mirror/app:1`;
  const flags = ['--metadata-file', 'm.json', '--platform=linux/amd64'];
  await rig.kiln(['imagetools', 'create', ...flags, '-t', to, name], { expect: 0 });
  await using client = new RegistryClient();
  const repository = { domain: other.host, path: 'mirror/app' };
  for (const [subject, referrer] of [
    [AMD, signature],
    [signature, counter],
  ] as const) {
    const found = await client.referrers(repository, subject.target.digest, never());
    assert.equal(
      found.map(({ digest }) => digest),
      [referrer.target.digest],
    );
  }
  const metadata = JSON.parse(readFileSync(rig.path('m.json'), 'utf8'));
  assert.is(metadata['image.name'], to);
  const { digest, mediaType, size } = metadata['containerimage.descriptor'];
  const pushed = await client.manifest(repository, '1', never());
  assert.equal([digest, mediaType, size], [pushed.digest, pushed.mediaType, pushed.bytes.length]);
});

real(
  'oci-layout:// names sources, targets and what is inspected, and signatures come along',
  async () => {
    await using registry = await startRegistry();
    await using rig = await Rig.create();
    const name = await publish(registry.host, 'team/app', '1', ATTESTED.slice(0, 3));
    const signature = referring(AMD.target, 'application/x.signature');
    await publish(registry.host, 'team/app', 'signature', [signature]);
    const layout = 'oci-layout://lay:out/images';
    const create = (...args: string[]) =>
      rig.kiln(['imagetools', 'create', '--progress=none', ...args], { expect: 0 });
    const inspect = inspecting(rig);
    const plain = (tag: string) => inspect('--raw', `${registry.host}/${tag}`);

    await create('-t', layout, '-t', `${layout}:1`, name);
    const raw = await inspect('--raw', name);
    assert.is(await inspect('--raw', layout), raw, 'an index is kept byte for byte');
    const index = JSON.parse(readFileSync(rig.path('lay:out/images/index.json'), 'utf8'));
    assert.equal(
      index.manifests.map(({ annotations = {} }: Descriptor) => annotations),
      [
        { 'org.opencontainers.image.ref.name': 'latest' },
        { 'org.opencontainers.image.ref.name': '1' },
        { 'io.containerd.manifest.subject': AMD.target.digest },
      ],
    );
    const shown = await inspect(layout);
    assert.match(shown, `Name:      oci-layout://${rig.path('lay:out/images')}\n`);
    assert.match(await inspect(`${layout}@${AMD.target.digest}`), 'application/x.signature');
    assert.equal(
      JSON.parse(await inspect('--format', '{{json .Provenance}}', layout))['linux/amd64'],
      {
        SLSA: PROVENANCE,
      },
    );

    await create('-t', `${registry.host}/back/app:1`, `${layout}:1`);
    assert.is(await plain('back/app:1'), raw, 'from a layout back into a registry');
    await using client = new RegistryClient();
    const back = { domain: registry.host, path: 'back/app' };
    const referrers = await client.referrers(back, AMD.target.digest, never());
    assert.equal(
      referrers.map(({ digest }) => digest),
      [signature.target.digest],
    );
    await create('-t', `${layout}:arm`, `${layout}@${ARM.target.digest}`);
    const { manifests } = JSON.parse(await inspect('--raw', `${layout}:arm`));
    assert.equal(manifests, [ARM.target]);
    const missing = await rig.kiln(['imagetools', 'inspect', 'oci-layout://nowhere']);
    assert.match(missing.stderr, 'KILN_LAYOUT_NOT_FOUND');
  },
);

real('referrers of an image are shown with the image', async () => {
  await using registry = await startRegistry();
  await using rig = await Rig.create();
  const name = await publish(registry.host, 'team/app', '1', [AMD]);
  const { mediaType, digest, size } = AMD.target;
  const manifest = {
    ...AMD.manifest,
    artifactType: 'application/signature',
    subject: { mediaType, digest, size },
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const about = {
    ...AMD,
    bytes,
    target: { ...AMD.target, digest: digestOf(bytes), size: bytes.length },
  };
  await publish(registry.host, 'team/app', 'signature', [about]);
  const shown = await inspecting(rig)(name);
  assert.match(shown, `Referrers: \n  Name:        ${name}@${about.target.digest}\n`);
  assert.match(shown, 'Artifact:    application/signature');
});

test('inspect --format of an image in the store', async () => {
  await using rig = await Rig.create('busybox');
  const shown = await rig.kiln(
    [
      'inspect',
      '-f',
      '{{.Os}}/{{.Architecture}} {{index .RepoTags 0}} {{json .Config.Cmd}}',
      'busybox',
    ],
    {
      expect: 0,
    },
  );
  assert.is(shown.stdout, 'linux/amd64 busybox:latest ["sh"]\n');
});

test.run();
