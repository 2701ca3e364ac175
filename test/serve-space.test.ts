import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { steps } from './rig.ts';
import { ServeRig } from './serve-rig.ts';

const DOCKERFILE = `
FROM busybox
COPY f /
RUN --mount=type=cache,target=/cache echo cached >/cache/f
RUN echo last >/last
`;

/** Makes something to list and to prune. Returns the context of the build. */
async function buildOnce(serve: ServeRig): Promise<string> {
  const context = serve.rig.write('c', { Dockerfile: DOCKERFILE, f: 'text' });
  await serve.build([context]);
  return context;
}

interface Usage {
  readonly ID: string;
  readonly Type: string;
  readonly Description: string;
  readonly Mutable: boolean;
  readonly Parents: readonly string[] | null;
}

async function usage(serve: ServeRig, ...filters: readonly string[]): Promise<Usage[]> {
  const flags = filters.flatMap((filter) => ['--filter', filter]);
  const { stdout } = await serve.buildx(['du', '--format', 'json', ...flags]);
  return stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

test('buildx du lists what takes space, by each of its filters', async () => {
  await using serve = await ServeRig.create('busybox');
  await buildOnce(serve);
  const all = await usage(serve);
  const types = new Set(all.map(({ Type }) => Type));
  assert.equal([...types].sort(), ['exec.cachemount', 'regular', 'source.local']);
  const [cache, ...others] = await usage(serve, 'type=exec.cachemount');
  assert.equal([cache?.Mutable, others.length], [true, 0]);
  const [last] = await usage(serve, 'description~=RUN echo last');
  assert.match(last!.Description, /RUN echo last/);
  assert.equal(
    (await usage(serve, `parents=${last!.Parents![0]}`)).map(({ ID }) => ID),
    [last!.ID],
  );
  assert.equal(
    (await usage(serve, `id=${last!.ID.slice(4, 20)}`)).map(({ ID }) => ID),
    [last!.ID],
  );
  assert.is((await usage(serve, 'type=regular', `id=${cache!.ID}`)).length, 0);
  const exceptRegular = await usage(serve, 'type!=regular');
  assert.is(exceptRegular.length, all.filter(({ Type }) => Type !== 'regular').length);
  const { stdout } = await serve.buildx(['du', '--verbose', '--filter', `id=${last!.ID}`]);
  for (const line of [
    /^ID:\s+\w+$/m,
    /^Parents:$/m,
    /^Mutable:\s+false$/m,
    /^Reclaimable:\s+true$/m,
    /^Description:\s+.*RUN echo last/m,
    /^Usage count:\s+1$/m,
    /^Type:\s+regular$/m,
  ])
    assert.match(stdout, line);
  // An engine that tries all ways would not end with this one.
  assert.ok((await usage(serve, 'description~=^(\\w+\\w+)+$')).length < all.length);
  const wrong = await serve.buildx(['du', '--filter', 'description~=('], { expect: 1 });
  assert.match(wrong.stderr, /KILN_FILTER_INVALID/);
});

test('prune --all leaves nothing, and with a filter what the filter does not name', async () => {
  await using serve = await ServeRig.create('busybox');
  // Two steps make the same layer, of which the image needs one.
  const context = serve.rig.write('c', {
    Dockerfile:
      'FROM busybox AS a\nRUN echo b >/b\nFROM busybox\nCOPY --from=a /b /b\n' +
      'RUN --mount=type=cache,target=/c echo c >/c/c && echo d >/d\n',
  });
  await serve.build([context, '--output', 'type=image,name=x']);
  await serve.buildx(['prune', '--all', '--force', '--filter', 'type=exec.cachemount']);
  const again = steps(await serve.build([context]));
  assert.is(again.get('[a 2/2] RUN echo b >/b'), 'CACHED');
  await serve.buildx(['prune', '--all', '--force']);
  assert.equal(await usage(serve), []);
});

test('buildx prune removes what each of its flags says, and never the history', async () => {
  await using serve = await ServeRig.create('busybox');
  const context = await buildOnce(serve);
  const prune = async (...flags: string[]) =>
    (await serve.buildx(['prune', '--force', ...flags])).stdout;
  const ids = async (...filters: string[]) => (await usage(serve, ...filters)).map(({ ID }) => ID);
  const before = await ids();
  // Everything was used within the last hour, and less is used than may stay.
  await prune('--filter', 'until=1h');
  await prune('--reserved-space', '1GB');
  await prune('--max-used-space', '1GB');
  await prune('--min-free-space', '1MB');
  assert.equal(await ids(), before);
  const verbose = await prune('--verbose', '--filter', 'type=exec.cachemount');
  assert.match(verbose, /^Type:\s+exec\.cachemount$/m);
  assert.equal(await ids('type=exec.cachemount'), []);
  assert.ok((await ids('type=regular')).length > 0);
  const again = steps(await serve.build([context]));
  assert.equal([...again.values()].slice(-3), ['CACHED', 'CACHED', 'CACHED']);
  await prune('--max-used-space', '1B');
  assert.equal(await ids('type=regular'), []);
  await serve.build([context]);
  await prune();
  assert.equal(await ids('type=regular'), []);
  assert.match(await prune('--all'), /Total:/);
  assert.equal(await ids(), []);
  const { stdout } = await serve.buildx(['history', 'ls', '--format', '{{.Status}}']);
  assert.equal(stdout.trim().split('\n'), ['Completed', 'Completed', 'Completed']);
});

test.run();
