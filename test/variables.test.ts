import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, run } from './rig.ts';

/* Variables of buildx: what git says of the context, and what else the metadata file tells. */

const REVISION = 'org.opencontainers.image.revision';
const SOURCE = 'org.opencontainers.image.source';
const DOCKERFILE = 'com.docker.image.source.entrypoint';

/** A repository with the context `app`, and the id of its commit. */
async function repository(): Promise<{ readonly rig: Rig; readonly commit: string }> {
  const rig = await Rig.create();
  rig.write('repo', {
    'app/Dockerfile': 'FROM scratch\nARG A=1\nCOPY Dockerfile /\n',
    '.gitignore': 'ignored\n',
  });
  const git = async (...words: string[]) => {
    const identity = ['-c', 'user.name=n', '-c', 'user.email=e@example.org'];
    const ran = await run(['git', ...identity, ...words], { cwd: rig.path('repo'), expect: 0 });
    return ran.stdout.trim();
  };
  await git('init', '-q');
  await git('add', '-A');
  await git('commit', '-q', '-m', 'first');
  await git('remote', 'add', 'origin', 'https://me:secret@git.example/team/app.git');
  return { rig, commit: await git('rev-parse', 'HEAD') };
}

async function labels(rig: Rig, env: Record<string, string>, ...words: string[]) {
  const args = ['build', '-q', '-t', 'app', ...words, 'repo/app'];
  const { stderr } = await rig.kiln(args, { expect: 0, env });
  const { stdout } = await rig.kiln(['inspect', '-f', '{{json .Config.Labels}}', 'app']);
  return { labels: JSON.parse(stdout) as Record<string, string> | null, stderr };
}

test('BUILDX_GIT_LABELS labels the image with its commit, remote and Dockerfile', async () => {
  const { rig, commit } = await repository();
  await using _ = rig;
  assert.not((await labels(rig, {})).labels);
  for (const BUILDX_GIT_LABELS of ['1', 'full', 'true']) {
    const made = await labels(rig, { BUILDX_GIT_LABELS });
    assert.is(made.labels?.[REVISION], commit);
    assert.is(made.labels?.[DOCKERFILE], 'app/Dockerfile');
    assert.match(made.labels?.[SOURCE] ?? '', '@git.example/team/app.git');
    assert.not.match(JSON.stringify(made.labels), 'secret');
  }
  const own = await labels(rig, { BUILDX_GIT_LABELS: '1' }, '--label', `${REVISION}=mine`);
  assert.is(own.labels?.[REVISION], 'mine');
  const dirty = { BUILDX_GIT_LABELS: '1', BUILDX_GIT_CHECK_DIRTY: '1' };
  assert.is((await labels(rig, dirty)).labels?.[REVISION], commit);
  rig.write('repo', { new: '' });
  assert.is((await labels(rig, dirty)).labels?.[REVISION], `${commit}-dirty`);
  rig.write('c', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  const outside = await rig.kiln(['build', 'c'], {
    expect: 0,
    env: { BUILDX_GIT_LABELS: '1', GIT_CEILING_DIRECTORIES: rig.directory },
  });
  assert.match(outside.stderr, /WARNING: BUILDX_GIT_LABELS has no effect: c is not in a git/);
});

test('provenance tells the commit and the remote of the context, unless switched off', async () => {
  const { rig, commit } = await repository();
  await using _ = rig;
  const vcs = async (env: Record<string, string>) => {
    const words = ['build', '-q', '--provenance=mode=max', '-o', 'out', 'repo/app'];
    await rig.kiln(words, { expect: 0, env });
    const text = readFileSync(rig.path('out/provenance.json'), 'utf8');
    assert.not.match(text, 'secret');
    return JSON.parse(text).predicate.runDetails.metadata.buildkit_metadata.vcs;
  };
  const told = await vcs({});
  assert.is(told.revision, commit);
  assert.match(told.source, '@git.example/team/app.git');
  assert.is(told['localdir:context'], 'app');
  assert.is(await vcs({ BUILDX_GIT_INFO: '0' }), undefined);
});

test('the metadata file has warnings and provenance when variables ask for them', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'from scratch\nCOPY Dockerfile /\n' });
  const metadata = async (env: Record<string, string>, ...words: string[]) => {
    await rig.kiln(['build', '-q', '--metadata-file', 'm.json', ...words, 'c'], { expect: 0, env });
    return JSON.parse(readFileSync(rig.path('m.json'), 'utf8'));
  };
  const plain = await metadata({});
  assert.not.ok('buildx.build.warnings' in plain || 'buildx.build.provenance' in plain);
  const { 'buildx.build.warnings': warnings } = await metadata({ BUILDX_METADATA_WARNINGS: '1' });
  assert.ok(warnings.length > 0);
  const short = warnings.map((one: { short: string }) =>
    Buffer.from(one.short, 'base64').toString(),
  );
  assert.match(short.join('\n'), 'ConsistentInstructionCasing');
  assert.equal(warnings[0].range, [{ start: { line: 1 }, end: { line: 1 } }]);
  const min = await metadata({ BUILDX_METADATA_PROVENANCE: 'min' });
  const max = await metadata({ BUILDX_METADATA_PROVENANCE: 'max' });
  assert.is(min['buildx.build.provenance'].invocation.parameters.frontend, 'dockerfile.v0');
  assert.not(min['buildx.build.provenance'].buildConfig);
  assert.ok(max['buildx.build.provenance'].buildConfig.llbDefinition.length > 1);
  const several = await metadata(
    { BUILDX_METADATA_PROVENANCE: 'min' },
    '--platform',
    'linux/amd64,linux/arm64',
  );
  assert.ok(several['buildx.build.provenance/linux/arm64'], Object.keys(several).join());
  const wrong = await rig.kiln(['build', 'c'], { env: { BUILDX_METADATA_PROVENANCE: 'all' } });
  assert.match(wrong.stderr, 'BUILDX_METADATA_PROVENANCE=all has no effect');
});

test.run();
