import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { asDigest, type Digest, digestOf } from '../../base/digest.ts';
import { parseReference } from '../../base/reference.ts';
import { imageSource } from '../../solver/llb/builder.ts';
import { seal } from '../../solver/llb/draft.ts';
import { indexJson } from '../image-documents.ts';
import type { ProvenanceOptions } from './attestation.ts';
import { type BuildFacts, provenance } from './provenance.ts';
import { formatPurl, imagePurl } from './purl.ts';
import { attestationManifest, imageSubjects, statementJson } from './statement.ts';

const golden = (name: string) => readFileSync(join(import.meta.dirname, 'golden', name), 'utf8');
const AMD64 = { os: 'linux', architecture: 'amd64' };
const BUSYBOX = asDigest('sha256:ff6ca8d4eedbbd13a9bafbe30cd8693ae06c408abad56ad0f44729a4073bdc01');

const MIN: ProvenanceOptions = {
  mode: 'min',
  version: 'v1',
  builderId: '',
  reproducible: false,
  inlineOnly: false,
};
const FACTS: BuildFacts = {
  frontend: 'dockerfile.v0',
  dockerfile: { name: 'Dockerfile', text: golden('Dockerfile') },
  context: undefined,
  args: { 'build-arg:X': 'hello', 'force-network-mode': 'host', 'no-cache': '' },
  locals: ['context', 'dockerfile'],
  buildPlatform: AMD64,
  workers: new Map(),
  invocation: 'this-run',
  started: Date.UTC(2026, 0, 1),
  finished: Date.UTC(2026, 0, 2),
};
const IMAGE = {
  kind: 'image',
  name: `docker.io/library/busybox:latest@${BUSYBOX}`,
  platform: AMD64,
  digest: BUSYBOX,
} as const;
const LOCAL = { kind: 'local', name: 'context' } as const;

test('as an image, attestations and the index over them are Docker’s, byte for byte', () => {
  const documents = new Map<Digest, string>();
  const index = JSON.parse(golden('index.golden'));
  const text = golden('v1-min.statement.golden');
  const descriptor = attestationManifest(
    index.manifests[0],
    [{ type: 'https://slsa.dev/provenance/v1', text }],
    documents,
    'image',
  );
  assert.equal(
    [...documents.values()].sort(),
    [text, golden('config.golden'), golden('manifest.golden')].sort(),
  );
  assert.is(descriptor.digest, digestOf(golden('manifest.golden')));
  assert.is(
    indexJson({ ...index, manifests: [index.manifests[0], descriptor] }),
    golden('index.golden'),
  );
});

test('attestations are an artifact by default and name their image as the subject', () => {
  const documents = new Map<Digest, string>();
  const index = JSON.parse(golden('index.golden'));
  const [image] = index.manifests;
  const type = 'https://slsa.dev/provenance/v1';
  const descriptor = attestationManifest(image, [{ type, text: '{}' }], documents);
  const text = documents.get(descriptor.digest)!;
  const { config, subject, artifactType, layers } = JSON.parse(text);
  assert.is(artifactType, 'application/vnd.docker.attestation.manifest.v1+json');
  const { mediaType, digest, size } = image;
  assert.equal(subject, { mediaType, digest, size });
  assert.equal(config, {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    size: 2,
    data: 'e30=',
  });
  assert.is(layers[0].annotations['in-toto.io/predicate-type'], type);
  assert.equal(Object.keys(JSON.parse(text)), [
    'schemaVersion',
    'mediaType',
    'artifactType',
    'config',
    'layers',
    'subject',
  ]);
  assert.is(descriptor.annotations?.['vnd.docker.reference.digest'], digest);
});

for (const version of ['v1', 'v0.2'] as const) {
  test(`provenance ${version} is Docker's except for times and the id of the run`, () => {
    // Docker 28.5 still writes v0.1 of the statement.
    const expected = golden(`${version}-min.statement.golden`).replace(
      'Statement/v0.1"',
      'Statement/v1"',
    );
    const digest = asDigest(`sha256:${JSON.parse(expected).subject[0].digest.sha256}`);
    const subjects = imageSubjects(
      { mediaType: '', digest, size: 0 },
      [parseReference('reg.example/app:1')],
      AMD64,
    );
    const said = provenance({ ...MIN, version }, FACTS, {
      edge: undefined,
      materials: [IMAGE, LOCAL],
    });
    assert.equal(
      withoutRun(JSON.parse(statementJson(said, subjects))),
      withoutRun(JSON.parse(expected)),
    );
  });
}

// biome-ignore lint/suspicious/noExplicitAny: two shapes of one document.
function withoutRun({ predicate, ...statement }: any): unknown {
  // Fields that BuildKit has since 0.30.
  if (predicate.buildDefinition)
    delete predicate.buildDefinition.externalParameters.request.compatibilityVersion;
  const text = JSON.stringify(predicate, (name, value) =>
    /^(invocationId|buildInvocationID|startedOn|finishedOn|buildStartedOn|buildFinishedOn)$/.test(
      name,
    )
      ? 'of the run'
      : value,
  );
  return { ...statement, predicate: JSON.parse(text) };
}

const REPOSITORY = {
  kind: 'git',
  remote: 'https://git.example/r.git',
  told: 'https://git.example/r.git',
} as const;

test('commits, downloads and layouts are listed with their digests', () => {
  const commit = 'a'.repeat(40);
  const said = provenance(MIN, FACTS, {
    edge: undefined,
    materials: [
      { ...REPOSITORY, told: 'https://xxxxx:xxxxx@git.example/r.git', ref: 'main', commit },
      { kind: 'http', url: 'https://user:pw@files.example/a?token=t0k3n', digest: BUSYBOX },
      { kind: 'layout', name: `base@${BUSYBOX}`, platform: AMD64, digest: BUSYBOX },
    ],
  });
  const { buildDefinition, runDetails } = JSON.parse(statementJson(said, [])).predicate;
  const sha256 = BUSYBOX.slice(7);
  assert.equal(buildDefinition.resolvedDependencies, [
    { uri: 'https://xxxxx:xxxxx@git.example/r.git#main', digest: { sha1: commit } },
    { uri: 'https://xxxxx:xxxxx@files.example/a', digest: { sha256 } },
    {
      uri: `pkg:oci/base?digest=${encodeURIComponent(BUSYBOX)}&platform=linux%2Famd64`,
      digest: { sha256 },
    },
  ]);
  assert.is(runDetails.metadata.buildkit_completeness.resolvedDependencies, false);
});

test('a build of only a commit is complete, and without a network it is hermetic', () => {
  const commit = 'b'.repeat(40);
  const { body } = provenance(
    { ...MIN, reproducible: true },
    { ...FACTS, context: 'https://git.example/r.git#v1', locals: [] },
    {
      edge: undefined,
      materials: [{ ...REPOSITORY, ref: 'v1', commit }],
    },
  );
  const { buildDefinition, runDetails } = JSON.parse(JSON.stringify(body));
  assert.equal(buildDefinition.externalParameters.configSource, {
    uri: 'https://git.example/r.git#v1',
    digest: { sha1: commit },
    path: 'Dockerfile',
  });
  assert.is(runDetails.metadata.buildkit_hermetic, true);
  assert.is(runDetails.metadata.buildkit_reproducible, true);
  assert.equal(runDetails.metadata.buildkit_completeness, {
    request: false,
    resolvedDependencies: true,
  });
});

test('of a graph that a client made nothing is said of a frontend', () => {
  const facts = { ...FACTS, frontend: undefined, dockerfile: undefined, args: {}, locals: ['src'] };
  const commit = 'c'.repeat(40);
  const target = { edge: undefined, materials: [{ ...REPOSITORY, ref: 'v1', commit }] };
  const said = JSON.parse(JSON.stringify(provenance({ ...MIN, mode: 'max' }, facts, target).body));
  assert.equal(said.buildDefinition.externalParameters, {
    configSource: {},
    request: { locals: [{ name: 'src' }], compatibilityVersion: 30 },
  });
  assert.equal(said.runDetails.metadata.buildkit_completeness, {
    request: false,
    resolvedDependencies: false,
  });
});

test('a graph that a client made of one file tells that file', () => {
  const facts = { ...FACTS, frontend: undefined, dockerfile: undefined, args: {}, locals: [] };
  const start = { line: 1, character: 0 };
  const from = (name: string) => ({
    source: { name, text: 'text', told: { language: 'Make' } },
    start,
    end: start,
  });
  const told = (...files: string[]) => {
    const draft = imageSource('base', { note: { locations: files.map(from) } });
    const target = { edge: seal(draft, AMD64), materials: [] };
    const { body } = provenance({ ...MIN, mode: 'max' }, facts, target);
    return JSON.parse(JSON.stringify(body)).runDetails.metadata.buildkit_metadata.source.infos;
  };
  const data = Buffer.from('text').toString('base64');
  assert.equal(told('Makefile'), [{ filename: 'Makefile', language: 'Make', data }]);
  assert.is(told('Makefile', 'other'), undefined);
});

test('what a server adds about itself is beside the platform of the builder', () => {
  const facts = { ...FACTS, environment: { runner: { name: 'r1' } } };
  const target = { edge: undefined, materials: [] };
  const said = (version: 'v1' | 'v0.2') =>
    JSON.parse(JSON.stringify(provenance({ ...MIN, version }, facts, target).body));
  const { runner, builderPlatform } = said('v1').buildDefinition.internalParameters;
  assert.equal([runner, builderPlatform], [{ name: 'r1' }, 'linux/amd64']);
  assert.equal(said('v0.2').invocation.environment, {
    platform: 'linux/amd64',
    runner: { name: 'r1' },
  });
});

test('other machines that ran steps are named, and their steps in mode=max', () => {
  const target = { edge: undefined, materials: [] };
  const facts = { ...FACTS, workers: new Map([['one', ['RUN echo $X']]]) };
  const told = (mode: 'min' | 'max', invocation?: string) => {
    const asked = { ...MIN, mode, version: 'v0.2' } as const;
    const made = provenance(asked, { ...facts, invocation }, target);
    return JSON.parse(JSON.stringify(made.body)).invocation.environment.workers;
  };
  assert.equal(told('min', 'a-run'), [{ name: 'one' }]);
  assert.equal(told('max', 'a-run'), [{ name: 'one', steps: ['RUN echo $X'] }]);
  // Where the same inputs give the same bytes, chance decides nothing.
  assert.is(told('max'), undefined);
});

test('package URLs', () => {
  assert.is(
    imagePurl('docker', parseReference('localhost:5000/team/app:1'), AMD64),
    'pkg:docker/localhost%3A5000/team/app@1?platform=linux%2Famd64',
  );
  assert.is(
    imagePurl('docker', parseReference('app:x'), {
      os: 'linux',
      architecture: 'arm',
      variant: 'v7',
    }),
    'pkg:docker/app@x?platform=linux%2Farm%2Fv7',
  );
  assert.is(
    formatPurl({ type: 'deb', name: 'debian/g++', version: '1:2~3' }),
    'pkg:deb/debian/g%2B%2B@1:2~3',
  );
  assert.is(
    formatPurl({ type: 'npm', name: '@a/b', qualifiers: { x: undefined } }),
    'pkg:npm/%40a/b',
  );
});

test('where the context comes from is told without its login, and the context in mode=min', () => {
  const login = 'https://user:pass@git.example/r.git';
  const facts = {
    ...FACTS,
    args: { 'build-arg:X': 'x', 'context:c': `${login}?token=t`, 'label:l': 'l' },
    vcs: { source: login, revision: 'abc' },
  };
  const { body } = provenance({ ...MIN, version: 'v0.2' }, facts, {
    edge: undefined,
    materials: [],
  });
  const said = JSON.parse(statementJson({ type: '', body, fileName: '' }, [])).predicate;
  const hidden = 'https://xxxxx:xxxxx@git.example/r.git';
  assert.equal(said.invocation.parameters.args, { 'context:c': hidden });
  assert.equal(said.metadata['https://mobyproject.org/buildkit@v1#metadata'], {
    vcs: { source: hidden, revision: 'abc' },
  });
});

test.run();
