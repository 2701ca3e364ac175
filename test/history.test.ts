import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Rig, run } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

const printed = async (rig: Rig, ...words: string[]) =>
  (await rig.kiln(['history', ...words], { expect: 0 })).stdout;
const listed = async (rig: Rig, ...words: string[]) =>
  (await printed(rig, 'ls', '--format', 'json', ...words))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const inspected = async (rig: Rig, ...words: string[]) =>
  JSON.parse(await printed(rig, 'inspect', '--format', 'json', ...words));

const GOOD = 'FROM busybox AS one\nARG V\nRUN --mount=type=secret,id=token echo told; echo $V\n';

test('every build has a record of what was asked for, and secrets are only named', async () => {
  await using rig = await Rig.create('busybox');
  const context = rig.write('c', { Dockerfile: GOOD, token: 'hidden-value' });
  const git = async (...words: string[]) =>
    await run(['git', '-C', context, '-c', 'user.name=n', '-c', 'user.email=a@b', ...words]);
  await git('init', '-q', '-b', 'trunk');
  await git('commit', '-q', '--allow-empty', '-m', 'one');
  await git('remote', 'add', 'origin', 'https://me:pw@host.example/repo.git');
  const secret = ['--secret', `id=token,src=${join(context, 'token')}`];
  const args = [...secret, '--build-arg', 'V=7', '--label', 'a=b', '-t', 'app:1'];
  await rig.build('c', ...args);
  const first = await inspected(rig);
  assert.equal([first.Name, first.Status, first.NumTotalSteps], ['app:1', 'completed', 2]);
  assert.equal(first.BuildArgs, [{ Name: 'V', Value: '7' }]);
  assert.equal(first.Secrets, ['token']);
  assert.is(first.VCSRepository, 'https://xxxxx@host.example/repo.git');
  assert.match(first.VCSRevision, /^[0-9a-f]{40}$/);
  assert.is(first.VCSBranch, 'trunk');
  assert.match(first.Materials[0].URI, /busybox/);
  assert.is(first.Outputs[0].names[0], 'docker.io/library/app:1');
  const step = first.Steps.find(({ Name }: { Name: string }) => Name.includes('RUN'));
  assert.equal([step.State, step.Miss], ['done', 'it was never built here']);
  const logs = readdirSync(join(rig.store, 'logs'), { recursive: true, withFileTypes: true });
  for (const file of logs.filter((entry) => entry.isFile())) {
    const text = readFileSync(join(file.parentPath, file.name), 'utf8');
    assert.not.match(text, /hidden-value|me:pw/);
  }
  const drawn = await printed(rig, 'inspect');
  assert.match(drawn, /^Build Steps: +2\/2 \(0% cached\)$/m);
  assert.match(drawn, /^\* \[one 2\/2\] RUN .*[█▓].* \d+\.\ds$/m);
  assert.match(drawn, /would be saved: it was never built here/);
  // A build that is recalled leaves the same record.
  await rig.build('c', '-t', 'x');
  for (let count = 0; count < 2; count++) await rig.build('c', '-t', 'x');
  const recalled = await inspected(rig);
  assert.equal([recalled.Name, recalled.NumCachedSteps, recalled.VCSBranch], ['x', 2, 'trunk']);
  assert.is(recalled.Outputs[0].digest, (await inspected(rig, '^1')).Outputs[0].digest);
  assert.match((await rig.kiln(['image', 'history', 'x'], { expect: 0 })).stdout, /RUN/);
  assert.match(await printed(rig, 'x'), /RUN/);
});

test('a build keeps its provenance, and a cached one that of the one before', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: GOOD, token: 'hidden-value' });
  const args = ['--secret', `id=token,src=${rig.path('c/token')}`, '--build-arg', 'V=7'];
  const provenance = async (build: string) =>
    JSON.parse(await printed(rig, 'inspect', 'attachment', '--type', 'provenance', build));
  for (const memo of ['off', 'off', 'on', 'on', 'on'])
    await rig.kiln(['build', 'c', ...args], { env: { KILN_MEMO: memo }, expect: 0 });
  const [, ...types] = (await inspected(rig)).Attachments.map(({ Type }: { Type: string }) => Type);
  assert.match(types.join(), /image.index|image.manifest/);
  const first = await provenance('^4');
  assert.is(first.invocation.parameters.args['build-arg:V'], '7');
  assert.is(first.metadata.buildInvocationID, (await inspected(rig, '^4')).Ref.split('/').at(-1));
  assert.match(first.materials[0].uri, /busybox/);
  for (const build of ['^3', '^2', '^1', '^0']) assert.equal(await provenance(build), first);
  // What differs in a comment says so in its source.
  rig.write('c', { Dockerfile: `${GOOD}# said\n` });
  await rig.kiln(['build', 'c', ...args], { expect: 0 });
  const other = await provenance('^0');
  assert.is.not(other.metadata.buildInvocationID, first.metadata.buildInvocationID);
  const kept = join(rig.store, 'logs', 'kept');
  assert.is(readdirSync(kept).length, 2);
  await printed(rig, 'rm', '^5');
  assert.equal(await provenance('^4'), first);
  // The documents go with the last record that has them, and a build makes them again.
  await printed(rig, 'rm', '--all');
  assert.equal(readdirSync(kept), []);
  for (let count = 0; count < 3; count++) await rig.kiln(['build', 'c', ...args], { expect: 0 });
  assert.equal((await provenance('^0')).materials, first.materials);
  // So it is when the store is pruned.
  await rig.kiln(['prune', '--all', '--force'], { expect: 0 });
  assert.not.ok(existsSync(kept));
  for (let count = 0; count < 2; count++) await rig.kiln(['build', 'c', ...args], { expect: 0 });
  assert.equal((await provenance('^0')).materials, first.materials);
});

test('lists are filtered, logs are printed, records are removed', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('good', { Dockerfile: 'FROM busybox\nRUN echo told\n' });
  rig.write('bad', { Dockerfile: 'FROM busybox\nRUN echo why; exit 7\n' });
  await rig.build('good');
  await rig.kiln(['build', 'bad'], { expect: 1 });
  assert.equal(
    (await listed(rig)).map(({ status }) => status),
    ['Error', 'Completed'],
  );
  const [good] = await listed(rig, '--filter', 'status=completed');
  const names = async (...filter: string[]) => (await listed(rig, ...filter)).length;
  assert.is(await names('--filter', 'status!=completed', '--filter', 'duration<1h'), 1);
  assert.is(await names('--filter', 'startedAt<1h'), 0);
  assert.is(await names('--filter', `ref=${String(good?.['ref']).slice(2)}`), 1);
  const wrong = await rig.kiln(['history', 'ls', '--filter', 'size=1'], { expect: 2 });
  assert.match(wrong.stderr, /is not a filter of builds/);
  assert.match(await printed(rig, 'logs', String(good?.['ref'])), /^#\d+ [\d.]+ told$/m);
  assert.match(await printed(rig, 'logs', '^1'), /told/);
  const failed = await inspected(rig);
  assert.equal([failed.Status, failed.Error.Code], ['failed', 'KILN_STEP_FAILED']);
  assert.match(failed.Error.Name, /exit 7/);
  const trace = JSON.parse(await printed(rig, 'trace'));
  const spans = trace.data[0].spans as { operationName: string }[];
  assert.ok(spans.some(({ operationName }) => operationName.includes('RUN echo why')));
  assert.match((await rig.kiln(['history', 'rm'], { expect: 2 })).stderr, /--all/);
  await printed(rig, 'rm', String(good?.['ref']));
  assert.is(await names(), 1);
  await printed(rig, 'rm', '--all');
  assert.is(await names(), 0);
  assert.match((await rig.kiln(['history', 'logs'], { expect: 1 })).stderr, /KILN_LOG_NOT_FOUND/);
});

test('a build that runs is followed, one that is killed is lost, and damage is told', async () => {
  await using rig = await Rig.create('busybox');
  rig.write('c', { Dockerfile: 'FROM busybox\nRUN echo is up; sleep 600\n' });
  rig.write('good', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  await rig.build('good');
  const up = Promise.withResolvers<(signal: NodeJS.Signals) => void>();
  const building = rig.kiln(['build', '--progress=plain', 'c'], {
    watch: (text, kill) => text.includes('is up\n') && up.resolve(kill),
  });
  const kill = await up.promise;
  const [runs] = await listed(rig, '--filter', 'status=running');
  assert.match((await rig.kiln(['history', 'rm', '^0'], { expect: 1 })).stderr, /is running/);
  // What was written is in the record soon, also while the step goes on.
  const isLogged = async () =>
    (await inspected(rig)).Steps.some(({ LogLines }: { LogLines: number }) => LogLines > 0);
  while (!(await isLogged()));
  kill('SIGKILL');
  await building;
  const [lost] = await listed(rig);
  assert.equal([lost?.['ref'], lost?.['status']], [runs?.['ref'], 'Lost']);
  assert.is((await inspected(rig)).Status, 'lost');
  assert.match(await printed(rig, 'logs'), /is up/);
  const logs = join(rig.store, 'logs');
  appendFileSync(join(logs, `${lost?.['id']}.jsonl`), '\nrubbish\n');
  assert.match((await inspected(rig)).Damage, /cannot be read/);
  writeFileSync(join(logs, '99990101-000000-1.jsonl'), '\0\0\0');
  assert.equal(
    (await listed(rig)).map(({ status }) => status),
    ['Damaged', 'Lost', 'Completed'],
  );
  assert.match((await inspected(rig)).Damage, /first line/);
  await printed(rig, 'rm', '99990101');
  assert.is((await listed(rig)).length, 2);
});

test('a file of records is read by another store, once', async () => {
  await using rig = await Rig.create('busybox');
  await using other = await Rig.create();
  rig.write('good', { Dockerfile: 'FROM busybox\nRUN echo told\n' });
  rig.write('bad', { Dockerfile: 'FROM busybox\nRUN echo why; exit 7\n' });
  await rig.build('good', '-t', 'app');
  await rig.kiln(['build', 'bad'], { expect: 1 });
  await printed(rig, 'export', '--all', '-o', 'all.dockerbuild');
  const file = rig.path('all.dockerbuild');
  assert.is((await printed(other, 'import', file)).trim().split('\n').length, 2);
  assert.match(await printed(other, 'import', file), /is here already/);
  const failed = async (at: Rig) =>
    (await listed(at, '--filter', 'status=error')).map(({ id: _, ...told }) => told);
  assert.equal(await failed(other), await failed(rig));
  assert.equal(await inspected(other, '^1'), await inspected(rig, '^1'));
  assert.match(await printed(other, 'logs', '^0'), /why/);
  other.write('.', { 'cut.dockerbuild': readFileSync(file).subarray(0, 900) });
  const cut = await other.kiln(['history', 'import', 'cut.dockerbuild'], { expect: 1 });
  assert.match(cut.stderr, /KILN_LAYOUT_INVALID/);
});

test('builds of one second are listed in the order in which they began', async () => {
  await using rig = await Rig.create();
  await using other = await Rig.create();
  const logs = join(rig.store, 'logs');
  mkdirSync(logs, { recursive: true });
  // Process IDs grow, get longer, and begin anew. The IDs are those of an older Kiln.
  const begun = [99998, 100001, 12, 7].map((pid, index) => {
    const started = Date.UTC(2026, 10, 30, 9) + index;
    const id = `20261130-090000-${pid}`;
    const header = { build: id, started, context: `c${index}`, request: {}, door: 'cli' };
    const lines = [header, { ended: started + 1, outputs: [] }].map((line) => JSON.stringify(line));
    writeFileSync(join(logs, `${id}.jsonl`), `${lines.join('\n')}\n`);
    return id;
  });
  const refs = async (at: Rig) =>
    (await listed(at)).map(({ ref }) => String(ref).split('/').at(-1));
  assert.equal(await refs(rig), begun.toReversed());
  await printed(rig, 'export', '--all', '-o', 'all.dockerbuild');
  await printed(other, 'import', rig.path('all.dockerbuild'));
  assert.equal(await refs(other), begun.toReversed());
  const logged = (await other.kiln(['logs', '--list'], { expect: 0 })).stdout;
  assert.equal(logged.match(/\bc\d\b/g), ['c3', 'c2', 'c1', 'c0']);
});

test('kiln.toml says for the store how many records are kept, and how large', async () => {
  await using rig = await Rig.create();
  rig.write('c', { Dockerfile: 'FROM scratch\nARG V\nCOPY Dockerfile /\n' });
  const built = async (count: number) => {
    for (let each = 0; each < count; each++) await rig.build('c', '--build-arg', `V=${each}`);
  };
  const collected = async (text: string) => {
    rig.write('.', { 'kiln.toml': text });
    const env = { KILN_CONFIG: rig.path('kiln.toml') };
    await rig.kiln(['prune', '--auto'], { env, expect: 0 });
    return (await listed(rig)).map(({ ref }) => ref);
  };
  await built(4);
  const all = (await listed(rig)).map(({ ref }) => ref);
  assert.equal(await collected(''), all);
  assert.equal(await collected('[history]\n  maxEntries = 2\n'), all.slice(0, 2));
  // The limit is the store's now: builds know it without the file.
  await built(3);
  assert.is((await listed(rig)).length, 2);
  assert.is((await collected('[history]\n  maxSize = "100"\n')).length, 1);
  await collected('');
  await built(3);
  assert.is((await listed(rig)).length, 4);
  rig.write('.', { 'kiln.toml': '[history]\n  maxSize = "much"\n' });
  const env = { KILN_CONFIG: rig.path('kiln.toml') };
  const wrong = await rig.kiln(['prune', '--auto'], { env, expect: 1 });
  assert.match(wrong.stderr, /"much" is not a size.*\n.*maxSize/);
});

test('a file that buildx has exported is read', async () => {
  await using serve = await ServeRig.create('busybox');
  await using other = await Rig.create();
  const { rig } = serve;
  const context = rig.write('c', { Dockerfile: 'FROM busybox\nARG V\nRUN echo told $V\n' });
  await serve.build(['--build-arg', 'V=7', context]);
  await serve.buildx(['history', 'export', '--finalize', '-o', 'one.dockerbuild']);
  const exported = rig.path('one.dockerbuild');
  await printed(other, 'import', exported);
  const { Status, BuildArgs, NumTotalSteps, Attachments, Steps } = await inspected(other);
  assert.equal([Status, NumTotalSteps], ['completed', 2]);
  assert.equal(BuildArgs, [{ Name: 'V', Value: '7' }]);
  assert.ok(Steps.some(({ Name }: { Name: string }) => Name.includes('RUN echo told')));
  assert.ok(Attachments.some(({ Type }: { Type: string }) => Type.includes('slsa.dev')));
  const provenance = await printed(other, 'inspect', 'attachment', '--type', 'provenance');
  assert.ok(JSON.parse(provenance).buildType);
  assert.match(await printed(other, 'logs'), /told 7/);
});

test.run();
